"""How much accepted work there is in the whole service, for those who add workers."""

import math
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from luciole.domain.job import JobState
from serving.gateway.metrics import Metrics
from serving.storage.database import READING
from serving.storage.errors import StorageUnavailable
from serving.storage.tables import JobRow
from serving.storage.writing import storage_errors

STATES = (JobState.QUEUED, JobState.RUNNING)


class Backlog:
    """Two gauges, the same at every gateway: they come from the database when somebody asks."""

    def __init__(self, database: AsyncEngine, metrics: Metrics) -> None:
        self._reading = database.execution_options(**READING)
        self._counts = dict.fromkeys(STATES, math.nan)
        for state in STATES:
            metrics.watch(f"jobs_{state}", "In the whole service", partial(self._count, state))

    async def look(self) -> None:
        """Count again; what cannot be counted is no number."""
        asked = (
            select(JobRow.state, func.count())
            .where(JobRow.ended_at.is_(None), JobRow.state.in_(STATES))
            .group_by(JobRow.state)
        )
        try:
            with storage_errors():
                async with self._reading.connect() as connection:
                    found = dict((await connection.execute(asked)).all())
        except StorageUnavailable:
            self._counts = dict.fromkeys(STATES, math.nan)
        else:
            self._counts = {state: float(found.get(state, 0)) for state in STATES}

    def _count(self, state: JobState) -> float:
        return self._counts[state]
