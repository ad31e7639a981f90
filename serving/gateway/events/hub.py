"""One reader of the database for all who listen to the same; slow listeners are let go."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from luciole.domain.job import JobEvent
from serving.jobs.ledger import Jobs
from serving.storage.errors import StorageUnavailable

BUFFER = 512
"""Events that wait for one listener; beyond them it is too slow."""
PAGE = 500
log = structlog.get_logger()


class TooSlow(Exception):
    """More events wait for this listener than are kept for it; it may come again from its last."""


@dataclass(frozen=True)
class Topic:
    """What one listens to: a tenant's events, or those of one project or job of it."""

    tenant: str
    project: str | None = None
    job: str | None = None


@dataclass(frozen=True)
class Told:
    """An event as it is sent, written once for all listeners."""

    seq: int
    type: str
    text: str

    @classmethod
    def of(cls, event: JobEvent) -> "Told":
        """`{v, seq, ts, type, ...}`; `ts` in seconds since 1970."""
        frame = {"v": 1, "seq": event.seq, "ts": event.at.timestamp(), "type": event.type}
        text = json.dumps(frame | event.data, separators=(",", ":"))
        return cls(event.seq, event.type, text)


class Listener:
    """A bounded line of events for one caller."""

    def __init__(self) -> None:
        self._line: asyncio.Queue[Told | None] = asyncio.Queue(BUFFER + 1)
        self._slow = False

    def offer(self, told: Told) -> None:
        """Add an event, or give the listener up."""
        if self._slow:
            return
        if self._line.qsize() >= BUFFER:
            self._slow = True
            self.end()
        else:
            self._line.put_nowait(told)

    def end(self) -> None:
        """Nothing more comes."""
        if not self._line.full():
            self._line.put_nowait(None)

    async def next(self) -> Told | None:
        """The next event, None at the end; TooSlow."""
        told = await self._line.get()
        if self._slow:
            raise TooSlow
        return told


class _Channel:
    """Follows one topic for all its listeners."""

    def __init__(self, jobs: Jobs, topic: Topic) -> None:
        self._jobs, self._topic = jobs, topic
        self.listeners: set[Listener] = set()
        self.ready = asyncio.Event()
        """Set once everything that happens from now on reaches the listeners."""
        self.task = asyncio.create_task(self._run(), name="events")

    async def _run(self) -> None:
        since: int | None = None
        while True:
            try:
                if since is None:
                    since = await self._jobs.last_seq(self._topic.tenant)
                    self.ready.set()
                since = await self._follow(since)
            except StorageUnavailable as error:
                log.warning("events wait for the database", cause=error.code)
                await asyncio.sleep(error.retry_after)

    async def _follow(self, since: int) -> int:
        topic = self._topic
        async for happened in self._jobs.follow(topic.tenant, since, topic.job, topic.project):
            for told in map(Told.of, happened):
                since = told.seq
                for listener in self.listeners:
                    listener.offer(told)
        return since


class Hub:
    """Where listeners meet events."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._channels: dict[Topic, _Channel] = {}
        self._closed = False

    def listening(self, tenant: str) -> int:
        """How many listen to something of a tenant."""
        channels = self._channels.items()
        return sum(len(one.listeners) for topic, one in channels if topic.tenant == tenant)

    async def listen(self, topic: Topic, since: int) -> AsyncGenerator[Told, None]:
        """Every event after `since`, the old ones first, without a gap; TooSlow."""
        with self._listener(topic) as (channel, listener):
            await channel.ready.wait()
            async for told in self._before(topic, since):
                since = told.seq
                yield told
            while (next_one := await listener.next()) is not None:
                if next_one.seq > since:
                    yield next_one

    async def _before(self, topic: Topic, since: int) -> AsyncGenerator[Told, None]:
        while True:
            page = await self._jobs.events(topic.tenant, since, topic.job, topic.project, PAGE)
            for event in page:
                since = event.seq
                yield Told.of(event)
            if len(page) < PAGE:
                return

    @contextmanager
    def _listener(self, topic: Topic) -> Iterator[tuple[_Channel, Listener]]:
        listener = Listener()
        if self._closed:
            listener.end()
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = _Channel(self._jobs, topic)
        channel.listeners.add(listener)
        try:
            yield channel, listener
        finally:
            channel.listeners.discard(listener)
            if not channel.listeners:
                channel.task.cancel()
                self._channels.pop(topic, None)

    def end(self) -> None:
        """Let all listeners go: the service stops."""
        self._closed = True
        for channel in self._channels.values():
            for listener in channel.listeners:
                listener.end()

    async def close(self) -> None:
        """Stop following."""
        self.end()
        tasks = [channel.task for channel in self._channels.values()]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
