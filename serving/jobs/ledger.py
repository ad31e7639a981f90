"""Jobs as the gateway sees them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from dbos import DBOSClient
from sqlalchemy import Connection, update
from sqlalchemy.ext.asyncio import AsyncEngine

from luciole.domain.job import DrawnFrame, Job, JobEvent, JobFile, JobState
from serving.jobs import ending, events, forgetting, previews, records
from serving.jobs.accepting import Accepted, accept
from serving.jobs.feed import Feed
from serving.jobs.forgetting import Trace
from serving.jobs.previews import Preview
from serving.jobs.work import Idempotency, NewJob
from serving.storage.assets import File
from serving.storage.database import READING
from serving.storage.tables import JobRow
from serving.storage.writing import storage_errors

P = ParamSpec("P")
R = TypeVar("R")
SIGN, LOOK = 5.0, 0.1
"""Seconds between two signs that somebody looks, and between two looks."""
IDLE = 15.0
"""Seconds after which a quiet `follow` says so."""


class Jobs(Protocol):
    """Every method sees the rows of one tenant only; StorageUnavailable from any of them."""

    async def accept(self, new: NewJob, idempotency: Idempotency | None = None) -> Accepted:
        """Once this returns the job will end, whatever is killed; KeyReused, StorageFull."""
        ...

    async def get(self, tenant: str, job: str) -> Job:
        """JobNotFound if the tenant has none of that id."""
        ...

    async def listed(
        self,
        tenant: str,
        states: Sequence[JobState] = (),
        project: str | None = None,
        before: Job | None = None,
        limit: int = 50,
        subject: str | None = None,
    ) -> list[Job]:
        """The newest first; `before` continues a page."""
        ...

    async def frames(self, tenant: str, job: str) -> list[DrawnFrame]:
        """What is drawn so far, in the order of `k`."""
        ...

    async def files(self, tenant: str, job: str) -> list[JobFile]:
        """What it made of its frames, by name."""
        ...

    async def cancel(self, tenant: str, job: str) -> Job:
        """A queued job ends at once, a running one at its next step, an ended one stays."""
        ...

    async def forget(self, tenant: str, trace: Trace) -> list[File]:
        """Take a character out of what was built; files that nobody needs now. CharacterInUse."""
        ...

    async def say(self, tenant: str, kind: str, data: dict[str, Any]) -> None:
        """Add an event of something else than a job."""
        ...

    async def queue(self, tenant: str, project: str | None = None) -> dict[str, int]:
        """How many jobs are `queued` and how many `running`."""
        ...

    async def last_seq(self, tenant: str) -> int:
        """Of the tenant's newest event, 0 without any."""
        ...

    async def events(
        self,
        tenant: str,
        since: int = 0,
        job: str | None = None,
        project: str | None = None,
        limit: int = 500,
    ) -> list[JobEvent]:
        """What happened after event `since`, in order."""
        ...

    def follow(
        self, tenant: str, since: int, job: str | None = None, project: str | None = None
    ) -> AsyncIterator[list[JobEvent]]:
        """All events after `since` as they come, without end; an empty list after 15 s of quiet."""
        ...

    def looks(self, tenant: str, project: str | None = None) -> AsyncIterator[Preview]:
        """Pictures on their way, as they come; they are drawn while this is followed."""
        ...


class SqlJobs:
    """Jobs over a database; the feed tells when to look again."""

    def __init__(self, database: AsyncEngine, client: DBOSClient, feed: Feed) -> None:
        self._database, self._client, self._feed = database, client, feed
        # SQLite has one writer, and those who wait for it poll: a line is fairer and faster.
        alone = database.dialect.name == "sqlite"
        self._turn = asyncio.Lock() if alone else contextlib.nullcontext()

    async def accept(self, new: NewJob, idempotency: Idempotency | None = None) -> Accepted:
        """Job, key, event and place in the queue in one transaction."""
        return await self._write(accept, self._client, new, idempotency)

    async def get(self, tenant: str, job: str) -> Job:
        """JobNotFound if the tenant has none of that id."""
        return await self._read(records.find, tenant, job)

    async def listed(
        self,
        tenant: str,
        states: Sequence[JobState] = (),
        project: str | None = None,
        before: Job | None = None,
        limit: int = 50,
        subject: str | None = None,
    ) -> list[Job]:
        """The newest first; `before` continues a page."""
        asked = (tenant, states, project, subject, before, limit)
        return await self._read(records.listed, *asked)

    async def frames(self, tenant: str, job: str) -> list[DrawnFrame]:
        """What is drawn so far, in the order of `k`."""
        return await self._read(records.frames, tenant, job)

    async def files(self, tenant: str, job: str) -> list[JobFile]:
        """What it made of its frames, by name."""
        return await self._read(records.files, tenant, job)

    async def cancel(self, tenant: str, job: str) -> Job:
        """A queued job ends at once, a running one at its next step, an ended one stays."""
        return await self._write(_cancel, tenant, job)

    async def forget(self, tenant: str, trace: Trace) -> list[File]:
        """Take a character out of what was built; files that nobody needs now. CharacterInUse."""
        return await self._write(forgetting.forget, tenant, trace)

    async def say(self, tenant: str, kind: str, data: dict[str, Any]) -> None:
        """Add an event of something else than a job."""
        await self._write(events.append, None, tenant, kind, data)

    async def queue(self, tenant: str, project: str | None = None) -> dict[str, int]:
        """How many jobs are `queued` and how many `running`."""
        return await self._read(records.queue, tenant, project)

    async def last_seq(self, tenant: str) -> int:
        """Of the tenant's newest event, 0 without any."""
        return await self._read(events.last_seq, tenant)

    async def events(
        self,
        tenant: str,
        since: int = 0,
        job: str | None = None,
        project: str | None = None,
        limit: int = 500,
    ) -> list[JobEvent]:
        """What happened after event `since`, in order."""
        return await self._read(events.since, tenant, since, job, project, limit)

    async def follow(
        self, tenant: str, since: int, job: str | None = None, project: str | None = None
    ) -> AsyncIterator[list[JobEvent]]:
        """All events after `since` as they come, without end; an empty list after 15 s of quiet."""
        while True:
            count = self._feed.count
            if happened := await self.events(tenant, since, job, project):
                since = happened[-1].seq
                yield happened
            elif not await self._feed.after(count, IDLE):
                yield []

    async def looks(self, tenant: str, project: str | None = None) -> AsyncIterator[Preview]:
        """Pictures on their way, as they come; they are drawn while this is followed."""
        seen: dict[str, tuple[int, int]] = {}
        signed = -SIGN
        while True:
            if time.monotonic() - signed > SIGN:
                await self._write(previews.watch, tenant)
                signed = time.monotonic()
            count = self._feed.count
            there = await self._read(previews.places, tenant, project)
            fresh = [job for job, place in there.items() if seen.get(job) != place]
            seen = there
            if fresh:
                for preview in await self._read(previews.find, tenant, fresh):
                    yield preview
            await asyncio.sleep(LOOK)
            await self._feed.after(count, SIGN)

    async def _write(
        self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        with storage_errors():
            async with self._turn, self._database.begin() as connection:
                return await connection.run_sync(work, *args, **kwargs)

    async def _read(
        self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        with storage_errors():
            async with self._database.connect() as connection:
                await connection.execution_options(**READING)
                return await connection.run_sync(work, *args, **kwargs)


def _cancel(connection: Connection, tenant: str, job: str) -> Job:
    records.find(connection, tenant, job)
    asked: dict[str, Any] = {"cancel_requested": True}
    unended = update(JobRow).where(JobRow.id == job, JobRow.ended_at.is_(None))
    connection.execute(unended.values(**asked))
    ending.end_if_queued(connection, job, ending.Ending(JobState.CANCELED))
    return records.find(connection, tenant, job)
