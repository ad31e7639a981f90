"""What a tenant may still ask for: this minute by the limits, this month by its quota."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from luciole.domain import RenderPlan
from serving.gateway.accounts.windows import Windows
from serving.gateway.refusals import QuotaExceeded
from serving.jobs.work import units
from serving.settings import Settings
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.tables import JobRow, TenantRow
from serving.storage.writing import storage_errors

THOUSANDTHS = 1000
"""Limits count thousandths of a step x megapixel."""
REMEMBERED = 5.0
"""Seconds for which a tenant's terms are not read again."""


@dataclass
class Terms:
    """What was agreed with a tenant; `used` grows with what is taken here until it is read again.

    `quota` and `used` in steps x megapixels of this month.
    """

    quota: float | None
    units_a_minute: int
    requests_a_minute: int
    used: float
    read_at: float


class Accounts:
    """Refuses before anything is started."""

    def __init__(self, database: AsyncEngine, windows: Windows, settings: Settings) -> None:
        self._reading = database.execution_options(**READING)
        self._windows, self._settings = windows, settings
        self._terms: dict[str, Terms] = {}

    async def take(self, tenant: str, plans: Sequence[RenderPlan]) -> None:
        """RateLimited or QuotaExceeded unless these pictures may be drawn now."""
        terms, cost = await self.terms(tenant), sum(map(units, plans))
        if terms.quota is not None and terms.used + cost > terms.quota:
            words = f"{terms.used:.3f} of {terms.quota:g} are used or asked for this month"
            raise QuotaExceeded("quota", words, (next_month() - now()).total_seconds())
        thousandths = max(1, math.ceil(cost * THOUSANDTHS))
        await self._windows.take("units", tenant, thousandths, terms.units_a_minute)
        terms.used += cost

    async def terms(self, tenant: str) -> Terms:
        """As they were at most a few seconds ago."""
        known = self._terms.get(tenant)
        if known is None or time.monotonic() - known.read_at > REMEMBERED:
            known = self._terms[tenant] = await self._read(tenant)
        return known

    async def take_request(self, tenant: str) -> None:
        """RateLimited for too many requests of any kind."""
        terms = await self.terms(tenant)
        await self._windows.take("requests", tenant, 1, terms.requests_a_minute)

    async def _read(self, tenant: str) -> Terms:
        month = this_month()
        ended = func.coalesce(func.sum(JobRow.units), 0.0)
        done = select(ended).where(JobRow.tenant == tenant, JobRow.ended_at >= month)
        asked = select(func.coalesce(func.sum(JobRow.cost), 0.0))
        waits = asked.where(JobRow.tenant == tenant, JobRow.ended_at.is_(None))
        row_of = select(TenantRow.quota, TenantRow.limits).where(TenantRow.id == tenant)
        with storage_errors():
            async with self._reading.connect() as connection:
                row = (await connection.execute(row_of)).one()
                used = 0.0
                if row.quota is not None:
                    used = sum([await connection.scalar(one) or 0.0 for one in (done, waits)])
        return Terms(
            quota=row.quota,
            units_a_minute=int(row.limits.get("units", self._settings.rate_units)),
            requests_a_minute=int(row.limits.get("requests", self._settings.rate_requests)),
            used=used,
            read_at=time.monotonic(),
        )


def this_month() -> datetime:
    """When it began, in UTC."""
    return now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month() -> datetime:
    """When it ends, in UTC."""
    return (this_month() + timedelta(days=32)).replace(day=1)
