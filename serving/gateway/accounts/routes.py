"""What was used."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import func, select

from luciole.domain import InvalidRequest
from serving.gateway.accounts.accounts import next_month, this_month
from serving.gateway.auth.needs import Reader
from serving.gateway.parts import Its
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.tables import JobRow
from serving.storage.writing import storage_errors

LONGEST = timedelta(days=366)
Moment = Annotated[AwareDatetime | None, Query()]
router = APIRouter(prefix="/api/v1", tags=["usage"])


class DayUsed(BaseModel):
    """A day in UTC."""

    day: str
    jobs: int
    units: float


class Usage(BaseModel):
    """Jobs that ended in a time; units are steps x megapixels, and what is billed."""

    since: AwareDatetime
    until: AwareDatetime
    units: float
    jobs: int
    days: list[DayUsed]
    quota: float | None
    """Units of a calendar month."""
    used_this_month: float | None
    """Used or asked for; told where there is a quota."""
    renewed_at: AwareDatetime


@router.get("/usage")
async def usage(caller: Reader, parts: Its, since: Moment = None, until: Moment = None) -> Usage:
    """From `since` to `until`, or this month so far."""
    until = until or now()
    since = since or this_month()
    if not timedelta(0) <= until - since <= LONGEST:
        raise InvalidRequest("since", "must lie before until, by a year at most")
    day = func.date(JobRow.ended_at).label("day")
    asked = (
        select(day, func.count().label("jobs"), func.coalesce(func.sum(JobRow.units), 0.0))
        .where(JobRow.tenant == caller.tenant, JobRow.ended_at >= since, JobRow.ended_at < until)
        .group_by(day)
        .order_by(day)
    )
    with storage_errors():
        async with parts.database.execution_options(**READING).connect() as connection:
            rows = (await connection.execute(asked)).all()
    days = [DayUsed(day=str(row[0]), jobs=row[1], units=row[2]) for row in rows]
    terms = await parts.accounts.terms(caller.tenant)
    return Usage(
        since=since,
        until=until,
        units=sum(one.units for one in days),
        jobs=sum(one.jobs for one in days),
        days=days,
        quota=terms.quota,
        used_this_month=None if terms.quota is None else terms.used,
        renewed_at=next_month(),
    )
