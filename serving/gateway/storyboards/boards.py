"""Storyboards as rows; every query names its tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from serving.gateway.refusals import NotFound
from serving.gateway.storyboards.form import StoryboardForm
from serving.gateway.versions import history
from serving.jobs.storyboards import drawn_of
from serving.orchestration.scenes.build import Drawn
from serving.storage.columns import new_id
from serving.storage.database import READING
from serving.storage.tables import AssetRefRow, FrameRow, StoryboardRow
from serving.storage.writing import storage_errors

KIND = "storyboard"
"""Of the references that storyboards hold on assets."""


@dataclass(frozen=True)
class Board:
    """A storyboard as it was written last."""

    id: str
    name: str
    document: StoryboardForm
    created_at: datetime
    changed_at: datetime


class Boards:
    """StorageFull and StorageUnavailable from every method."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database, self._reading = database, database.execution_options(**READING)

    async def create(self, tenant: str, document: StoryboardForm) -> Board:
        """A new one, and its first version."""
        board, values = new_id("storyboard"), _values(document)
        row = insert(StoryboardRow).values(id=board, tenant=tenant, **values)
        with storage_errors():
            async with self._database.begin() as connection:
                await connection.execute(row)
                await connection.run_sync(history.add, tenant, board, values["document"])
        return await self.find(tenant, board)

    async def replace(
        self, tenant: str, board: str, document: StoryboardForm, parent: str | None = None
    ) -> Board:
        """Write it anew as the next version, or as a child of an older one; NotFound."""
        with storage_errors():
            async with self._database.begin() as connection:
                await connection.run_sync(_replace, tenant, board, _values(document), parent)
        return await self.find(tenant, board)

    async def find(self, tenant: str, board: str) -> Board:
        """NotFound unless the tenant has it."""
        asked = select(StoryboardRow).where(
            StoryboardRow.tenant == tenant, StoryboardRow.id == board
        )
        with storage_errors():
            async with self._reading.connect() as connection:
                row = (await connection.execute(asked)).one_or_none()
        if row is None:
            raise NotFound("storyboard", f"there is no {board[:80]!r}")
        return _board(row)

    async def listed(self, tenant: str, before: Board | None, limit: int) -> list[Board]:
        """The newest first; `before` continues a page."""
        asked = select(StoryboardRow).where(StoryboardRow.tenant == tenant)
        if before is not None:
            older = StoryboardRow.created_at < before.created_at
            twin = (StoryboardRow.created_at == before.created_at) & (StoryboardRow.id < before.id)
            asked = asked.where(older | twin)
        newest = asked.order_by(StoryboardRow.created_at.desc(), StoryboardRow.id.desc())
        with storage_errors():
            async with self._reading.connect() as connection:
                return [_board(row) for row in await connection.execute(newest.limit(limit))]

    async def forget(self, tenant: str, board: str) -> None:
        """Delete it and its versions; NotFound. What its builds drew stays with them."""
        refs = delete(AssetRefRow).where(
            AssetRefRow.tenant == tenant, AssetRefRow.kind == KIND, AssetRefRow.owner == board
        )
        mine = delete(StoryboardRow).where(
            StoryboardRow.tenant == tenant, StoryboardRow.id == board
        )
        with storage_errors():
            async with self._database.begin() as connection:
                await connection.execute(refs)
                await connection.run_sync(history.remove, tenant, board)
                gone = (await connection.execute(mine)).rowcount
        if gone == 0:
            raise NotFound("storyboard", f"there is no {board[:80]!r}")

    async def drawn(self, tenant: str, board: str, keys: Sequence[str]) -> dict[str, Drawn]:
        """The frames that are there, by their keys."""
        asked = select(FrameRow.key, FrameRow.asset_sha, FrameRow.record).where(
            FrameRow.tenant == tenant, FrameRow.storyboard == board, FrameRow.key.in_(keys)
        )
        with storage_errors():
            async with self._reading.connect() as connection:
                rows = (await connection.execute(asked)).all()
        return {row.key: drawn_of(row.key, row.asset_sha, row.record) for row in rows}


def _replace(
    connection: Connection, tenant: str, board: str, values: dict[str, Any], parent: str | None
) -> None:
    """What was written already is no new version, unless somebody goes back to it."""
    mine = update(StoryboardRow).where(StoryboardRow.tenant == tenant, StoryboardRow.id == board)
    if connection.execute(mine.values(**values)).rowcount == 0:
        raise NotFound("storyboard", f"there is no {board[:80]!r}")
    document, label = values["document"], None if parent is None else "restored"
    if parent is None and history.newest_request(connection, tenant, board) == document:
        return
    history.add(connection, tenant, board, document, label=label, parent=parent)


def _values(document: StoryboardForm) -> dict[str, Any]:
    said = document.model_dump(mode="json", by_alias=True)
    return {"name": document.title, "document": said}


def _board(row: Any) -> Board:
    document = StoryboardForm.model_validate(row.document)
    return Board(row.id, row.name, document, row.created_at, row.changed_at)
