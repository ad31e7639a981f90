"""What a worker writes while it draws; a worker whose lease was given up writes nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from luciole.domain import RenderPlan
from luciole.domain.job import JobState
from serving.jobs import events
from serving.jobs.ending import Ending, end
from serving.jobs.work import units
from serving.storage.columns import now
from serving.storage.tables import AssetRefRow, AssetRow, JobFileRow, JobFrameRow, JobRow
from serving.storage.writing import insert_if_new


@dataclass(frozen=True)
class Stored:
    """A file that lies in the object store; `size` in bytes, sides in pixels."""

    sha256: str
    size: int
    mime: str
    extension: str
    width: int | None
    height: int | None


@dataclass(frozen=True)
class Filed:
    """A file that was made of frames, and the mark of what was signed; None if nothing was."""

    stored: Stored
    mark: str | None = None


Note = Callable[[Connection, Row[Any], int, str], None]


def row_of(connection: Connection, job: str) -> Row[Any] | None:
    """The job's row, which nobody else changes until the end of the transaction; None if ended."""
    asked = select(JobRow).where(JobRow.id == job).with_for_update()
    row = connection.execute(asked).one()
    return None if row.ended_at is not None else row


def begin(connection: Connection, job: str) -> Row[Any] | None:
    """The job's row, now running; None if it has ended already."""
    row = row_of(connection, job)
    if row is None or row.state == JobState.RUNNING:
        return row
    running = {"state": JobState.RUNNING, "started_at": now()}
    connection.execute(update(JobRow).where(JobRow.id == job).values(**running))
    events.append(connection, job, row.tenant, events.STATE, {"state": JobState.RUNNING})
    return row


def attempt(connection: Connection, job: str) -> int | None:
    """Count another try at a frame: 1 for the first since the last success; None if ended."""
    row = row_of(connection, job)
    if row is None:
        return None
    tries = row.attempts + 1
    connection.execute(update(JobRow).where(JobRow.id == job).values(attempts=tries))
    return int(tries)


def drawn(
    connection: Connection, job: str, k: int, plan: RenderPlan, picture: Stored, note: Note
) -> bool:
    """Record a frame; False if the job has ended. A frame that is there already stays.

    `note` writes what else is kept of a new one.
    """
    row = row_of(connection, job)
    if row is None:
        return False
    connection.execute(update(JobRow).where(JobRow.id == job).values(attempts=0))
    _keep(connection, row, picture)
    document = plan.model_dump(mode="json")
    new = insert_if_new(
        connection, JobFrameRow, job=job, k=k, asset_sha=picture.sha256, plan=document,
        units=units(plan),
    )  # fmt: skip
    if new:
        note(connection, row, k, picture.sha256)
        said = {"index": k, "sha256": picture.sha256, "mime": picture.mime}
        events.append(connection, job, row.tenant, events.FRAME, said)
    return True


def succeeded(connection: Connection, job: str, files: Mapping[str, Filed]) -> None:
    """Record what was made of the frames and end the job, unless it has ended."""
    row = row_of(connection, job)
    if row is None:
        return
    for name, file in files.items():
        _keep(connection, row, file.stored)
        insert_if_new(
            connection, JobFileRow, job=job, name=name, asset_sha=file.stored.sha256,
            mark=file.mark,
        )  # fmt: skip
    end(connection, job, Ending(JobState.SUCCEEDED))


def signed(connection: Connection, tenant: str, mark: str) -> Stored | None:
    """The file that a job of the tenant made of the same bytes, signed by the same signer."""
    columns = (AssetRow.sha256, AssetRow.size, AssetRow.mime, AssetRow.extension)
    asked = (
        select(*columns, AssetRow.width, AssetRow.height)
        .join(JobFileRow, JobFileRow.asset_sha == AssetRow.sha256)
        .join(JobRow, JobRow.id == JobFileRow.job)
        .where(JobFileRow.mark == mark, JobRow.tenant == tenant)
    )
    found = connection.execute(asked.order_by(JobRow.created_at).limit(1)).one_or_none()
    return None if found is None else Stored(*found)


def _keep(connection: Connection, row: Row[Any], file: Stored) -> None:
    insert_if_new(connection, AssetRow, **file.__dict__)
    insert_if_new(
        connection, AssetRefRow, sha256=file.sha256, tenant=row.tenant, kind="job", owner=row.id
    )


def progress(
    connection: Connection, job: str, tenant: str, k: int, step: int, steps: int, eta: float | None
) -> None:
    """Say how far a frame is; `eta` in seconds."""
    said = {"index": k, "phase": "denoising", "step": step, "steps": steps, "eta_s": eta}
    events.append(connection, job, tenant, events.PROGRESS, said)


def frames_drawn(connection: Connection, job: str) -> list[str]:
    """The pictures of frames 0, 1, ... as far as there is no gap."""
    asked = select(JobFrameRow.k, JobFrameRow.asset_sha).where(JobFrameRow.job == job)
    known = {row.k: row.asset_sha for row in connection.execute(asked)}
    return [known[k] for k in range(len(known)) if k in known]
