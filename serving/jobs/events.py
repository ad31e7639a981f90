"""What happened to jobs, in the order of commits."""

from typing import Any

from sqlalchemy import Connection, Insert, String, bindparam, delete, func, insert, or_, select

from luciole.domain.job import JobEvent
from serving.storage.columns import now
from serving.storage.tables import JobEventRow, JobRow

STATE, PROGRESS, FRAME = "job.state", "job.progress", "job.frame"
ENTITY, QUEUE = "entity.changed", "queue.changed"
CHANNEL = "luciole_events"
"""Where Postgres tells listeners that a tenant has a new event."""


def append(
    connection: Connection, job: str | None, tenant: str, kind: str, data: dict[str, Any]
) -> None:
    """Add an event of a job or, without one, of something else; the last of a transaction.

    Postgres numbers rows before they are committed, so that a reader could see event 8 and miss
    event 7; a lock for the tenant until the commit makes the numbers follow the commits.
    """
    said = data if job is None else {"job_id": job, **data}
    values = {"job": job, "tenant": tenant, "type": kind, "data": said, "created_at": now()}
    in_turn = connection.dialect.name == "postgresql"
    connection.execute(_IN_TURN if in_turn else _INSERT, values)


def _insert_in_turn() -> Insert:
    """Inserts when it is the tenant's turn; listeners hear of it after the commit."""
    tenant = bindparam("tenant", type_=String)
    turn = func.pg_advisory_xact_lock(func.hashtextextended(tenant, 0))
    told = select(turn, func.pg_notify(CHANNEL, tenant)).cte("told").prefix_with("MATERIALIZED")
    names = ("job", "tenant", "type", "data", "created_at")
    columns = [getattr(JobEventRow, name) for name in names]
    given = [bindparam(column.key, type_=column.type) for column in columns]
    return insert(JobEventRow).from_select(columns, select(*given).select_from(told))


_INSERT, _IN_TURN = insert(JobEventRow), _insert_in_turn()


def forget_progress(connection: Connection, job: str) -> None:
    """Remove what nobody asks for once a job has ended."""
    connection.execute(
        delete(JobEventRow).where(JobEventRow.job == job, JobEventRow.type == PROGRESS)
    )


def last_seq(connection: Connection, tenant: str) -> int:
    """The number of the tenant's newest event, 0 without any."""
    newest = select(func.max(JobEventRow.seq)).where(JobEventRow.tenant == tenant)
    return connection.scalar(newest) or 0


def since(
    connection: Connection,
    tenant: str,
    seq: int,
    job: str | None,
    project: str | None,
    limit: int,
) -> list[JobEvent]:
    """A tenant's events after `seq`, of one job or of one project's jobs where asked.

    What happens to other things than jobs is told to all projects.
    """
    asked = select(JobEventRow).where(JobEventRow.tenant == tenant, JobEventRow.seq > seq)
    if job is not None:
        asked = asked.where(JobEventRow.job == job)
    if project is not None:
        asked = asked.outerjoin(JobRow, JobRow.id == JobEventRow.job)
        asked = asked.where(or_(JobRow.project == project, JobEventRow.job.is_(None)))
    rows = connection.execute(asked.order_by(JobEventRow.seq).limit(limit))
    return [
        JobEvent(seq=row.seq, job=row.job, tenant=row.tenant, type=row.type, data=row.data,
                 at=row.created_at)
        for row in rows
    ]  # fmt: skip
