"""Closes jobs that nobody else will: too late to begin, or left open by their workflow."""

from datetime import timedelta

from dbos import DBOS, WorkflowStatusString
from sqlalchemy import Engine, delete, select

from luciole.domain.job import Failure, JobState
from serving.jobs.ending import Ending, end, end_if_queued
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.tables import IdempotencyRow, JobRow

KEYS_LAST = timedelta(days=1)
AT_ONCE = 500
_OVER = [
    WorkflowStatusString.SUCCESS.value,
    WorkflowStatusString.ERROR.value,
    WorkflowStatusString.CANCELLED.value,
    WorkflowStatusString.MAX_RECOVERY_ATTEMPTS_EXCEEDED.value,
]
LATE = Failure(code="deadline_exceeded", message="no worker was free before the deadline")
LOST = Failure(code="internal", message="its workflow ended without an outcome")


def reconcile(database: Engine) -> list[str]:
    """Run one pass; returns the jobs that it ended."""
    unended, late = _open_jobs(database)
    lost = _without_workflow(unended)
    ended = []
    for job in late:
        with database.begin() as connection:
            if end_if_queued(connection, job, Ending(JobState.EXPIRED, LATE)):
                ended.append(job)
    for job in lost:
        with database.begin() as connection:
            if end(connection, job, Ending(JobState.FAILED, LOST)):
                ended.append(job)
    return ended


def forget_old_keys(database: Engine) -> None:
    """A key that comes again after a day makes a new job."""
    old = IdempotencyRow.created_at < now() - KEYS_LAST
    with database.begin() as connection:
        connection.execute(delete(IdempotencyRow).where(old))


def _open_jobs(database: Engine) -> tuple[list[str], list[str]]:
    """The oldest jobs that have not ended, and those of them that nobody began in time."""
    asked = (
        select(JobRow.id, JobRow.state, JobRow.deadline_at)
        .where(JobRow.ended_at.is_(None))
        .order_by(JobRow.created_at)
        .limit(AT_ONCE)
    )
    with database.connect() as connection:
        rows = connection.execution_options(**READING).execute(asked).all()
    moment = now()
    late = [row.id for row in rows if row.state == JobState.QUEUED and row.deadline_at < moment]
    return [row.id for row in rows], late


def _without_workflow(jobs: list[str]) -> list[str]:
    if not jobs:
        return []
    over = DBOS.list_workflows(workflow_ids=jobs, status=_OVER, load_input=False, load_output=False)
    return [status.workflow_id for status in over]
