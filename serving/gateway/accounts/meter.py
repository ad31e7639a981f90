"""Pictures that are drawn for a caller who waits are billed as jobs that have ended.

They are written together some times a second: a gateway that is killed loses the bills of
that moment, and never writes one twice.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine, insert, literal_column, select

from luciole.domain import RenderPlan
from luciole.domain.job import JobState
from serving.jobs.work import units
from serving.storage.columns import new_id, now
from serving.storage.errors import StorageFull, StorageUnavailable
from serving.storage.tables import BillingOutboxRow, JobRow, TenantRow
from serving.storage.writing import storage_errors

IMAGES = "images"
"""The kind of these jobs."""
EVERY = 0.5
_JOBS = insert(JobRow).values(
    # Prompts are not kept: nobody asks for these jobs again.
    params=literal_column("'{}'"),
    kind=literal_column(f"'{IMAGES}'"),
    state=literal_column(f"'{JobState.SUCCEEDED.value}'"),
)
log = structlog.get_logger()


@dataclass(frozen=True)
class Drawn:
    """Pictures of one request; `spent` in steps x megapixels."""

    job: str
    tenant: str
    pictures: int
    spent: float
    at: datetime


class Meter:
    """Notes at once, writes later."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._noted: list[Drawn] = []
        self._ending = asyncio.Event()

    def note(self, tenant: str, plans: Sequence[RenderPlan]) -> None:
        """These pictures were drawn."""
        spent = sum(map(units, plans))
        self._noted.append(Drawn(new_id("job"), tenant, len(plans), spent, now()))

    async def run(self) -> None:
        """Write until closed; what cannot be written now waits."""
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), EVERY)
            try:
                await self.write()
            except (StorageFull, StorageUnavailable) as error:
                log.warning("bills wait", cause=error.code, bills=len(self._noted))

    async def write(self) -> None:
        """Everything that is noted, in one transaction."""
        written = list(self._noted)
        if not written:
            return
        await asyncio.to_thread(_write, self._database, written)
        del self._noted[: len(written)]

    async def close(self, running: "asyncio.Task[None]") -> None:
        """Write the rest, after what is being written: to cancel that would leave SQLite locked."""
        self._ending.set()
        await running
        await self.write()


def _write(database: Engine, written: Sequence[Drawn]) -> None:
    with storage_errors(), database.begin() as connection:
        asked = select(TenantRow.id, TenantRow.stripe_customer)
        known = asked.where(TenantRow.id.in_({one.tenant for one in written}))
        customers = {row.id: row.stripe_customer for row in connection.execute(known)}
        connection.execute(_JOBS, [_job(one) for one in written])
        bills = [_bill(one, customers[one.tenant]) for one in written]
        connection.execute(insert(BillingOutboxRow), bills)


def _job(one: Drawn) -> dict[str, object]:
    return {
        "id": one.job,
        "tenant": one.tenant,
        "total": one.pictures,
        "cost": one.spent,
        "units": one.spent,
        "created_at": one.at,
        "started_at": one.at,
        "ended_at": one.at,
        "deadline_at": one.at,
    }


def _bill(one: Drawn, customer: str | None) -> dict[str, object]:
    return {
        "job": one.job,
        "tenant": one.tenant,
        "customer": customer,
        "units": one.spent,
        "occurred_at": one.at,
        "due_at": one.at,
        "state": "pending" if customer else "kept",
    }
