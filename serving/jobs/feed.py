"""Tells whoever waits that there may be new events, a few milliseconds after their commit."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog
from sqlalchemy.engine import make_url

from serving.jobs.events import CHANNEL
from serving.storage.database import is_sqlite

LOOK = 0.02
"""Seconds between two looks at SQLite's change counter, while anybody waits."""
RECONNECT = 1.0
log = structlog.get_logger()


class Feed:
    """Counts changes; take `count` before you look at the events, then wait for another."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting = 0
        self._changed = asyncio.Event()

    @property
    def watched(self) -> bool:
        """Whether anybody waits."""
        return self._waiting > 0

    def tell(self) -> None:
        """Wake everybody who waits."""
        self.count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, count: int, timeout: float) -> bool:
        """Return once more has changed than `count`; False after `timeout` seconds."""
        if self.count != count:
            return True
        self._waiting += 1
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True


@asynccontextmanager
async def feeding(url: str) -> AsyncIterator[Feed]:
    """A feed over the database's own news, while the block lasts."""
    feed = Feed()
    source = _look(feed, url) if is_sqlite(url) else _listen(feed, url)
    task = asyncio.create_task(source, name="feed")
    try:
        yield feed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _look(feed: Feed, url: str) -> None:
    """Look at SQLite's own counter; a disk that is full may even keep it from being read."""
    while True:
        try:
            with contextlib.closing(sqlite3.connect(make_url(url).database or "")) as connection:
                await _count(feed, connection)
        except sqlite3.OperationalError as error:
            log.warning("events are not told", cause=str(error))
        await asyncio.sleep(RECONNECT)


async def _count(feed: Feed, connection: sqlite3.Connection) -> None:
    """`data_version` changes with every commit of another connection; reading it costs 10 us."""
    seen, watched = None, time.monotonic()
    while True:
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != seen:
            seen = version
            feed.tell()
        if feed.watched:
            watched = time.monotonic()
        # Who waits looks at the events in between, and is back before this is over.
        quiet = time.monotonic() - watched > 1
        await asyncio.sleep(5 * LOOK if quiet else LOOK)


async def _listen(feed: Feed, url: str) -> None:
    """Postgres tells; while it is away nobody is told, and everybody looks when it is back."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(plain, autocommit=True)
            async with connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                feed.tell()
                async for _ in connection.notifies():
                    feed.tell()
        except psycopg.OperationalError as error:
            log.warning("events are not told", cause=type(error).__name__)
        await asyncio.sleep(RECONNECT)
