"""Pictures that are drawn for a caller who waits are billed as jobs that have ended.

They are written together some times a second: a gateway that is killed loses the bills of
that moment, and never writes one twice.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine, bindparam, case, insert, literal_column, select

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
AT_ONCE = 500
_AT = bindparam("at", type_=JobRow.created_at.type)
_JOBS = insert(JobRow).values(
    # Prompts are not kept: nobody asks for these jobs again.
    params=literal_column("'{}'"),
    kind=literal_column(f"'{IMAGES}'"),
    state=literal_column(f"'{JobState.SUCCEEDED.value}'"),
    cost=bindparam("spent"),
    units=bindparam("spent"),
    created_at=_AT,
    started_at=_AT,
    ended_at=_AT,
    deadline_at=_AT,
)
_BILLS = insert(BillingOutboxRow).from_select(
    ["job", "tenant", "customer", "units", "occurred_at", "due_at", "state"],
    select(
        JobRow.id,
        JobRow.tenant,
        TenantRow.stripe_customer,
        JobRow.units,
        JobRow.ended_at,
        JobRow.ended_at,
        case((TenantRow.stripe_customer.is_(None), "kept"), else_="pending"),
    )
    .join(TenantRow, TenantRow.id == JobRow.tenant)
    .where(JobRow.id.in_(bindparam("written", expanding=True))),
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
        connection.execute(_JOBS, [_job(one) for one in written])
        for some in _batched(written):
            connection.execute(_BILLS, {"written": [one.job for one in some]})


def _batched(written: Sequence[Drawn]) -> Iterator[Sequence[Drawn]]:
    """SQLite takes no more than so many values."""
    return (written[i : i + AT_ONCE] for i in range(0, len(written), AT_ONCE))


def _job(one: Drawn) -> dict[str, object]:
    return {
        "id": one.job,
        "tenant": one.tenant,
        "total": one.pictures,
        "spent": one.spent,
        "at": one.at,
    }
