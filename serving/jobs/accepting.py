"""Accepting work: the job, its key, its event and its place in the queue, or nothing at all."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dbos import DBOSClient, EnqueueOptions
from sqlalchemy import Connection, insert, inspect, select

from luciole.domain.job import Job, JobState
from serving.jobs import events, records
from serving.jobs.durable import QUEUE, VERSION, WORKFLOW
from serving.jobs.errors import KeyReused
from serving.jobs.work import Idempotency, NewJob
from serving.storage.columns import new_id, now
from serving.storage.tables import IdempotencyRow, JobRow
from serving.storage.writing import insert_if_new

_INSERT = insert(JobRow).returning(*inspect(JobRow).columns)


@dataclass(frozen=True)
class Accepted:
    """A job that will be done; `again` if the same key had brought it before."""

    job: Job
    again: bool
    response: dict[str, Any]


def accept(
    connection: Connection, client: DBOSClient, new: NewJob, idempotency: Idempotency | None
) -> Accepted:
    """Write everything in the caller's transaction; KeyReused if the key came with another body."""
    job = new_id("job")
    if idempotency is not None and not insert_if_new(
        connection,
        IdempotencyRow,
        tenant=new.tenant,
        key=idempotency.key,
        body_hash=idempotency.body_hash,
        job=job,
        response=idempotency.response,
    ):
        return _before(connection, new.tenant, idempotency)
    row = connection.execute(_INSERT, _values(new, job)).one()
    client.enqueue_in_transaction(connection, _place(new, job), job)
    state = {"state": JobState.QUEUED, "total": new.total}
    events.append(connection, job, new.tenant, events.STATE, state)
    response = {} if idempotency is None else idempotency.response
    return Accepted(records.job_of(row), again=False, response=response)


def _values(new: NewJob, job: str) -> dict[str, Any]:
    moment = now()
    return {
        "id": job,
        "tenant": new.tenant,
        "user": new.user,
        "project": new.project,
        "subject": new.subject,
        "kind": new.kind,
        "params": new.params,
        "state": JobState.QUEUED,
        "total": new.total,
        "cost": new.cost,
        "created_at": moment,
        "deadline_at": moment + timedelta(seconds=new.seconds),
    }


def _place(new: NewJob, job: str) -> EnqueueOptions:
    return {
        "workflow_name": WORKFLOW,
        "queue_name": QUEUE,
        "workflow_id": job,
        "app_version": VERSION,
        # Each tenant has a line of its own, so a long one keeps nobody else waiting.
        "queue_partition_key": new.tenant,
        "priority": new.priority,
    }


def _before(connection: Connection, tenant: str, idempotency: Idempotency) -> Accepted:
    asked = select(IdempotencyRow).where(
        IdempotencyRow.tenant == tenant, IdempotencyRow.key == idempotency.key
    )
    row = connection.execute(asked).one()
    if row.body_hash != idempotency.body_hash:
        raise KeyReused("Idempotency-Key", "came before with another body; take a new key")
    return Accepted(records.find(connection, tenant, row.job), again=True, response=row.response)
