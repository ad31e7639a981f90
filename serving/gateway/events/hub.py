"""One reader of the database for all who listen to the same; slow listeners are let go."""

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from luciole.domain.job import JobEvent
from serving.jobs.events import QUEUE, STATE
from serving.jobs.ledger import Jobs
from serving.jobs.previews import MIME, Preview
from serving.storage.errors import StorageFull, StorageUnavailable

BUFFER = 512
"""Events that wait for one listener; beyond them it is too slow."""
PAGE = 500
MOST_LOOKS = 4
"""Previews that wait for one listener; more are not sent."""
PREVIEW = "job.preview"
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
    """An event as it is sent, written once for all listeners; `seq` only where it can be resumed.

    With `content` it is a binary frame: a preview.
    """

    seq: int | None
    type: str
    text: str = ""
    content: bytes | None = None

    @classmethod
    def of(cls, event: JobEvent) -> "Told":
        """`{v, seq, ts, type, ...}`; `ts` in seconds since 1970."""
        frame = {"v": 1, "seq": event.seq, "ts": event.at.timestamp(), "type": event.type}
        text = json.dumps(frame | event.data, separators=(",", ":"))
        return cls(event.seq, event.type, text)

    @classmethod
    def queue(cls, counts: dict[str, int]) -> "Told":
        """How long the line is now; the next one says it anew, so none is kept."""
        frame = {"v": 1, "ts": time.time(), "type": QUEUE}
        return cls(None, QUEUE, json.dumps(frame | counts, separators=(",", ":")))

    @classmethod
    def preview(cls, seen: Preview) -> "Told":
        """Four bytes with the length of a JSON header (big-endian), the header, and WebP."""
        header = {
            "v": 1, "type": PREVIEW, "job_id": seen.job, "index": seen.k, "step": seen.step,
            "mime": MIME, "box": [0, 0, seen.width, seen.height],
        }  # fmt: skip
        said = json.dumps(header, separators=(",", ":")).encode()
        return cls(None, PREVIEW, content=struct.pack(">I", len(said)) + said + seen.content)


class Listener:
    """A bounded line of events for one caller."""

    def __init__(self, previews: bool) -> None:
        self.previews = previews
        self._line: asyncio.Queue[Told | None] = asyncio.Queue(BUFFER + 1)
        self._slow, self._looks = False, 0

    def offer(self, told: Told) -> None:
        """Add an event, or give the listener up."""
        if self._slow:
            return
        if self._line.qsize() >= BUFFER:
            self._slow = True
            self.end()
        else:
            self._line.put_nowait(told)

    def show(self, preview: Told) -> None:
        """Add a preview, unless the last ones still wait: they are not worth waiting for."""
        if self.previews and self._looks < MOST_LOOKS and not self._slow:
            self._looks += 1
            self.offer(preview)

    def end(self) -> None:
        """Nothing more comes."""
        if not self._line.full():
            self._line.put_nowait(None)

    async def next(self) -> Told | None:
        """The next event, None at the end; TooSlow."""
        told = await self._line.get()
        if self._slow:
            raise TooSlow
        if told is not None and told.content is not None:
            self._looks -= 1
        return told


class _Channel:
    """Follows one topic for all its listeners."""

    def __init__(self, jobs: Jobs, topic: Topic) -> None:
        self._jobs, self._topic = jobs, topic
        self.listeners: set[Listener] = set()
        self.ready = asyncio.Event()
        """Set once everything that happens from now on reaches the listeners."""
        self.task = asyncio.create_task(self._run(), name="events")
        self._looking: asyncio.Task[None] | None = None

    def add(self, listener: Listener) -> None:
        """Pictures on their way are followed from the first listener on who wants them."""
        self.listeners.add(listener)
        if listener.previews and self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="previews")

    def remove(self, listener: Listener) -> None:
        """And not after the last one."""
        self.listeners.discard(listener)
        if self._looking is not None and not any(one.previews for one in self.listeners):
            self._looking.cancel()
            self._looking = None

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for it."""
        return [self.task] + ([self._looking] if self._looking else [])

    async def _look(self) -> None:
        while True:
            try:
                async for seen in self._jobs.looks(self._topic.tenant, self._topic.project):
                    told = Told.preview(seen)
                    for listener in self.listeners:
                        listener.show(told)
            except (StorageUnavailable, StorageFull) as error:
                log.warning("previews wait for the database", cause=error.code)
                await asyncio.sleep(1)

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
            for event in happened:
                since = event.seq
                self._tell(Told.of(event))
            if topic.job is None and any(event.type == STATE for event in happened):
                self._tell(Told.queue(await self._jobs.queue(topic.tenant, topic.project)))
        return since

    def _tell(self, told: Told) -> None:
        for listener in self.listeners:
            listener.offer(told)


class Hub:
    """Where listeners meet events."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._channels: dict[Topic, _Channel] = {}
        self._closed = False

    @property
    def all(self) -> int:
        """How many listen, whoever they are."""
        return sum(len(channel.listeners) for channel in self._channels.values())

    def listening(self, tenant: str) -> int:
        """How many listen to something of a tenant."""
        channels = self._channels.items()
        return sum(len(one.listeners) for topic, one in channels if topic.tenant == tenant)

    async def listen(
        self, topic: Topic, since: int, previews: bool = False
    ) -> AsyncGenerator[Told, None]:
        """Every event after `since`, the old ones first, without a gap; TooSlow.

        With `previews` also pictures on their way, as far as the listener keeps up.
        """
        with self._listener(topic, previews) as (channel, listener):
            await channel.ready.wait()
            async for event in self._before(topic, since):
                since = event.seq
                yield Told.of(event)
            while (told := await listener.next()) is not None:
                if told.seq is None or told.seq > since:
                    yield told

    async def _before(self, topic: Topic, since: int) -> AsyncGenerator[JobEvent, None]:
        while True:
            page = await self._jobs.events(topic.tenant, since, topic.job, topic.project, PAGE)
            for event in page:
                since = event.seq
                yield event
            if len(page) < PAGE:
                return

    @contextmanager
    def _listener(self, topic: Topic, previews: bool) -> Iterator[tuple[_Channel, Listener]]:
        listener = Listener(previews)
        if self._closed:
            listener.end()
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = _Channel(self._jobs, topic)
        channel.add(listener)
        try:
            yield channel, listener
        finally:
            channel.remove(listener)
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
        tasks = [task for channel in self._channels.values() for task in channel.tasks]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
