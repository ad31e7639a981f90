"""Rows of jobs as the domain's words."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select

from luciole.domain import RenderPlan
from luciole.domain.job import DrawnFrame, Failure, Job, JobFile, JobState
from serving.jobs.errors import JobNotFound
from serving.storage.tables import AssetRow, JobFileRow, JobFrameRow, JobRow


def find(connection: Connection, tenant: str, job: str) -> Job:
    """JobNotFound if the tenant has none of that id."""
    asked = select(JobRow).where(JobRow.id == job, JobRow.tenant == tenant)
    row = connection.execute(asked).one_or_none()
    if row is None:
        raise JobNotFound("job", f"there is no {job[:80]!r}")
    return job_of(row)


def listed(
    connection: Connection,
    tenant: str,
    states: Sequence[JobState],
    project: str | None,
    subject: str | None,
    before: Job | None,
    limit: int,
) -> list[Job]:
    """A tenant's jobs, the newest first."""
    asked = select(JobRow).where(JobRow.tenant == tenant)
    if states:
        asked = asked.where(JobRow.state.in_(states))
    if project is not None:
        asked = asked.where(JobRow.project == project)
    if subject is not None:
        asked = asked.where(JobRow.subject == subject)
    if before is not None:
        older = JobRow.created_at < before.created_at
        twin = and_(JobRow.created_at == before.created_at, JobRow.id < before.id)
        asked = asked.where(or_(older, twin))
    newest = asked.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
    return [job_of(row) for row in connection.execute(newest)]


def queue(connection: Connection, tenant: str, project: str | None) -> dict[str, int]:
    """How many jobs wait, and how many are drawn."""
    asked = select(JobRow.state, func.count()).where(
        JobRow.tenant == tenant, JobRow.ended_at.is_(None)
    )
    if project is not None:
        asked = asked.where(JobRow.project == project)
    found = {row[0]: row[1] for row in connection.execute(asked.group_by(JobRow.state))}
    return {state.value: found.get(state, 0) for state in (JobState.QUEUED, JobState.RUNNING)}


def frames(connection: Connection, tenant: str, job: str) -> list[DrawnFrame]:
    """What is drawn so far; JobNotFound if the tenant has no such job."""
    find(connection, tenant, job)
    asked = (
        select(JobFrameRow, AssetRow.mime, AssetRow.width, AssetRow.height)
        .join(AssetRow, AssetRow.sha256 == JobFrameRow.asset_sha)
        .where(JobFrameRow.job == job)
        .order_by(JobFrameRow.k)
    )
    return [
        DrawnFrame(
            k=row.k,
            sha256=row.asset_sha,
            mime=row.mime,
            width=row.width,
            height=row.height,
            plan=RenderPlan.model_validate(row.plan),
            units=row.units,
        )
        for row in connection.execute(asked)
    ]


def files(connection: Connection, tenant: str, job: str) -> list[JobFile]:
    """What it made of its frames, by name; JobNotFound if the tenant has no such job."""
    find(connection, tenant, job)
    asked = (
        select(JobFileRow.name, AssetRow.sha256, AssetRow.mime, AssetRow.width, AssetRow.height)
        .join(AssetRow, AssetRow.sha256 == JobFileRow.asset_sha)
        .where(JobFileRow.job == job)
        .order_by(JobFileRow.name)
    )
    return [JobFile(**row._mapping) for row in connection.execute(asked)]


def job_of(row: Row[Any]) -> Job:
    """A row of `jobs` as the domain says it."""
    failure = None
    if row.error_code is not None:
        failure = Failure(code=row.error_code, message=row.error_message or "")
    return Job(
        id=row.id,
        tenant=row.tenant,
        kind=row.kind,
        project=row.project,
        subject=row.subject,
        state=JobState(row.state),
        cancel_requested=row.cancel_requested,
        failure=failure,
        total=row.total,
        cost=row.cost,
        units=row.units,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        deadline_at=row.deadline_at,
        decision=row.decision,
    )
