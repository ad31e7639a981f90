"""How much accepted work there is in the whole service, for those who add workers."""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from luciole.domain.job import JobState
from serving.gateway.metrics import Metrics
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.errors import StorageUnavailable
from serving.storage.tables import ExecutorLeaseRow, JobRow
from serving.storage.writing import storage_errors


@dataclass(frozen=True)
class Counts:
    """As the database said last; what could not be counted is no number."""

    jobs_queued: float = math.nan
    jobs_running: float = math.nan
    jobs_waiting_seconds: float = math.nan
    workers: float = math.nan


class Backlog:
    """Gauges that are the same at every gateway: they come from the database when asked for."""

    def __init__(self, database: AsyncEngine, metrics: Metrics) -> None:
        self._reading = database.execution_options(**READING)
        self._counts = Counts()
        watched = {
            "jobs_queued": "In the whole service",
            "jobs_running": "In the whole service",
            "jobs_waiting_seconds": "Of the job that has waited longest; 0 where none waits",
            "workers": "That gave a sign of life",
        }
        for name, words in watched.items():
            metrics.watch(name, words, partial(self._count, name))

    async def look(self) -> None:
        """Count again."""
        try:
            with storage_errors():
                async with self._reading.connect() as connection:
                    self._counts = await _counted(connection)
        except StorageUnavailable:
            self._counts = Counts()

    def _count(self, name: str) -> float:
        return float(getattr(self._counts, name))


async def _counted(connection: AsyncConnection) -> Counts:
    moment = now()
    states = (
        select(JobRow.state, func.count(), func.min(JobRow.created_at))
        .where(JobRow.ended_at.is_(None))
        .group_by(JobRow.state)
    )
    found = {row[0]: (row[1], row[2]) for row in await connection.execute(states)}
    alive = select(func.count()).where(
        ExecutorLeaseRow.expires_at > moment, ExecutorLeaseRow.reaped_at.is_(None)
    )
    waiting: tuple[int, datetime] = found.get(JobState.QUEUED, (0, moment))
    return Counts(
        jobs_queued=float(waiting[0]),
        jobs_running=float(found.get(JobState.RUNNING, (0, moment))[0]),
        jobs_waiting_seconds=max(0.0, (moment - waiting[1]).total_seconds()),
        workers=float(await connection.scalar(alive) or 0),
    )
