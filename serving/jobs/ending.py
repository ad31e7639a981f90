"""Ending a job: whoever comes first decides, and writes all that follows from it."""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, insert, select, update

from luciole.domain.job import Failure, JobState
from serving.jobs import events, previews
from serving.storage.columns import new_id, now
from serving.storage.tables import (
    BillingOutboxRow,
    JobFrameRow,
    JobRow,
    TenantRow,
    WebhookEndpointRow,
    WebhookOutboxRow,
)

BILLED = {JobState.SUCCEEDED, JobState.CANCELED}
"""What failed or came too late costs nothing; what was canceled costs the steps that were run."""


@dataclass(frozen=True)
class Ending:
    """How a job ends; `unfinished` are the steps x megapixels of a frame that was broken off."""

    state: JobState
    failure: Failure | None = None
    unfinished: float = 0.0


def end(connection: Connection, job: str, ending: Ending) -> bool:
    """Whether this was the end: the first one wins, and no later one changes anything.

    Event, bill and webhooks are rows of the same transaction: none is missing, none comes twice.
    """
    # Nobody adds a frame between counting them and the end.
    connection.execute(select(JobRow.id).where(JobRow.id == job).with_for_update())
    units, failure = _units(connection, job, ending), ending.failure
    won = connection.execute(
        update(JobRow)
        .where(JobRow.id == job, JobRow.ended_at.is_(None))
        .values(
            state=ending.state,
            ended_at=now(),
            units=units,
            error_code=None if failure is None else failure.code,
            error_message=None if failure is None else failure.message,
        )
    ).rowcount
    if won != 1:
        return False
    row = connection.execute(select(JobRow).where(JobRow.id == job)).one()
    _bill(connection, row, units)
    _tell_webhooks(connection, row)
    events.forget_progress(connection, job)
    previews.forget(connection, job)
    events.append(connection, job, row.tenant, events.STATE, _said(row))
    return True


def end_if_queued(connection: Connection, job: str, ending: Ending) -> bool:
    """The same for a job that nobody has begun."""
    asked = select(JobRow.state).where(JobRow.id == job).with_for_update()
    return connection.scalar(asked) == JobState.QUEUED and end(connection, job, ending)


def _units(connection: Connection, job: str, ending: Ending) -> float:
    if ending.state not in BILLED:
        return 0.0
    drawn = select(func.sum(JobFrameRow.units)).where(JobFrameRow.job == job)
    return (connection.scalar(drawn) or 0.0) + ending.unfinished


def _said(row: Row[JobRow]) -> dict[str, object]:
    said = {"state": row.state, "total": row.total, "units": row.units}
    if row.error_code is not None:
        said["error"] = {"code": row.error_code, "message": row.error_message}
    return said


def _bill(connection: Connection, row: Row[JobRow], units: float) -> None:
    if units <= 0:
        return
    customer = connection.scalar(
        select(TenantRow.stripe_customer).where(TenantRow.id == row.tenant)
    )
    connection.execute(
        insert(BillingOutboxRow).values(
            job=row.id,
            tenant=row.tenant,
            customer=customer,
            units=units,
            occurred_at=row.ended_at,
            state="pending" if customer else "kept",
        )
    )


def _tell_webhooks(connection: Connection, row: Row[JobRow]) -> None:
    kind = f"job.{row.state}"
    payload = {
        "type": kind,
        "timestamp": row.ended_at.isoformat(),
        "data": {"job_id": row.id, "kind": row.kind, "project": row.project, **_said(row)},
    }
    asked = select(WebhookEndpointRow).where(
        WebhookEndpointRow.tenant == row.tenant, WebhookEndpointRow.disabled_at.is_(None)
    )
    for endpoint in connection.execute(asked).all():
        if endpoint.types and kind not in endpoint.types:
            continue
        connection.execute(
            insert(WebhookOutboxRow).values(
                id=new_id("msg"),
                tenant=row.tenant,
                endpoint=endpoint.id,
                job=row.id,
                type=kind,
                payload=payload,
            )
        )
