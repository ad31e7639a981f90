"""The tree as rows; every query names its tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from luciole.domain import InvalidRequest
from serving.gateway.refusals import NotFound
from serving.jobs import records
from serving.storage.columns import new_id, now
from serving.storage.database import READING
from serving.storage.tables import AssetRefRow, JobFrameRow, JobRow, VersionRow
from serving.storage.writing import insert_if_new, storage_errors

KIND = "version"
"""Of the references that versions hold on assets."""


@dataclass(frozen=True)
class Version:
    """A state of a subject; `request` makes it again."""

    id: str
    subject: str
    parent: str | None
    job: str | None
    label: str | None
    request: dict[str, Any]
    assets: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True)
class Choice:
    """A drawn frame that is to be kept; `parent` is the newest version without one."""

    subject: str
    job: str
    index: int
    label: str | None = None
    parent: str | None = None


class History:
    """StorageFull and StorageUnavailable from every method."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database, self._reading = database, database.execution_options(**READING)

    async def keep(self, tenant: str, choice: Choice) -> Version:
        """Add what a job drew; the rest of the job is not wanted any more. NotFound."""
        with storage_errors():
            async with self._database.begin() as connection:
                return await connection.run_sync(_keep, tenant, choice)

    async def again(self, tenant: str, version: Version) -> Version:
        """Add the same once more, as a child of what it repeats."""
        label = version.label or "restored"
        said = (version.subject, version.request, version.assets, label, version.id, version.job)
        with storage_errors():
            async with self._database.begin() as connection:
                return await connection.run_sync(add, tenant, *said)

    async def find(self, tenant: str, version: str) -> Version:
        """NotFound unless the tenant has it."""
        asked = select(VersionRow).where(VersionRow.tenant == tenant, VersionRow.id == version)
        with storage_errors():
            async with self._reading.connect() as connection:
                row = (await connection.execute(asked)).one_or_none()
        if row is None:
            raise NotFound("version", f"there is no {version[:80]!r}")
        return _version(row)

    async def listed(
        self, tenant: str, subject: str, before: Version | None, limit: int
    ) -> list[Version]:
        """The newest first; `before` continues a page."""
        asked = _of(tenant, subject)
        if before is not None:
            asked = asked.where(_older(before.created_at, before.id))
        with storage_errors():
            async with self._reading.connect() as connection:
                return [_version(row) for row in await connection.execute(asked.limit(limit))]

    async def discard(self, tenant: str, job: str) -> None:
        """Nobody wants what this job drew or draws; JobNotFound."""
        with storage_errors():
            async with self._database.begin() as connection:
                await connection.run_sync(_decide, tenant, job, "discarded")


def add(
    connection: Connection,
    tenant: str,
    subject: str,
    request: dict[str, Any],
    assets: Sequence[str] = (),
    label: str | None = None,
    parent: str | None = None,
    job: str | None = None,
) -> Version:
    """Write a version and hold its assets; without a parent it follows the newest."""
    newest = connection.execute(_of(tenant, subject).limit(1)).one_or_none()
    if parent is None:
        parent = newest.id if newest is not None else None
    elif connection.execute(_of(tenant, subject).where(VersionRow.id == parent)).first() is None:
        raise InvalidRequest("parent", "is no version of this subject")
    moment = now()
    if newest is not None:
        moment = max(moment, newest.created_at + timedelta(microseconds=1))
    version = Version(
        new_id("version"), subject, parent, job, label, request, tuple(assets), moment
    )
    values = version.__dict__ | {"assets": list(assets)}
    connection.execute(insert(VersionRow).values(tenant=tenant, **values))
    for sha256 in assets:
        insert_if_new(
            connection, AssetRefRow, sha256=sha256, tenant=tenant, kind=KIND, owner=version.id
        )
    return version


def newest_request(connection: Connection, tenant: str, subject: str) -> dict[str, Any] | None:
    """What the newest version would make; None without any."""
    row = connection.execute(_of(tenant, subject).limit(1)).one_or_none()
    return None if row is None else dict(row.request)


def remove(connection: Connection, tenant: str, subject: str) -> None:
    """All versions of a subject that is deleted, and their hold on assets."""
    mine = and_(VersionRow.tenant == tenant, VersionRow.subject == subject)
    refs = delete(AssetRefRow).where(
        AssetRefRow.tenant == tenant,
        AssetRefRow.kind == KIND,
        AssetRefRow.owner.in_(select(VersionRow.id).where(mine)),
    )
    connection.execute(refs)
    connection.execute(delete(VersionRow).where(mine))


def _keep(connection: Connection, tenant: str, choice: Choice) -> Version:
    _decide(connection, tenant, choice.job, "kept")
    asked = select(JobFrameRow).where(JobFrameRow.job == choice.job, JobFrameRow.k == choice.index)
    frame = connection.execute(asked).one_or_none()
    if frame is None:
        raise NotFound("index", f"this job has no picture {choice.index}")
    said = (choice.subject, dict(frame.plan), (frame.asset_sha,), choice.label, choice.parent)
    return add(connection, tenant, *said, choice.job)


def _decide(connection: Connection, tenant: str, job: str, decision: str) -> None:
    records.find(connection, tenant, job)
    mine = update(JobRow).where(JobRow.id == job, JobRow.tenant == tenant)
    connection.execute(mine.values(decision=decision))


def _of(tenant: str, subject: str) -> Any:
    return (
        select(VersionRow)
        .where(VersionRow.tenant == tenant, VersionRow.subject == subject)
        .order_by(VersionRow.created_at.desc(), VersionRow.id.desc())
    )


def _older(moment: datetime, name: str) -> ColumnElement[bool]:
    twin = and_(VersionRow.created_at == moment, VersionRow.id < name)
    return or_(VersionRow.created_at < moment, twin)


def _version(row: Row[Any]) -> Version:
    return Version(
        id=row.id,
        subject=row.subject,
        parent=row.parent,
        job=row.job,
        label=row.label,
        request=row.request,
        assets=tuple(row.assets),
        created_at=row.created_at,
    )
