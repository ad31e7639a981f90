"""The files of tenants: rows say whose they are, the object store holds the bytes."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from luciole.domain import InvalidRequest
from serving.gateway.assets.signing import Signer
from serving.gateway.assets.uploads import Inspected
from serving.gateway.refusals import NotFound
from serving.storage.assets import File
from serving.storage.database import READING
from serving.storage.objects import Objects
from serving.storage.tables import AssetRefRow, AssetRow, TenantRow
from serving.storage.writing import insert_if_new, storage_errors

UPLOAD, DRAWN = "upload", "job"


@dataclass(frozen=True)
class Asset:
    """A file; `size` in bytes, sides in pixels."""

    sha256: str
    extension: str
    mime: str
    size: int
    width: int | None
    height: int | None
    created_at: datetime

    @property
    def name(self) -> str:
        """Its name in addresses."""
        return f"{self.sha256}.{self.extension}"


COLUMNS = (
    AssetRow.sha256,
    AssetRow.extension,
    AssetRow.mime,
    AssetRow.size,
    AssetRow.width,
    AssetRow.height,
    AssetRow.created_at,
)


class Shelf:
    """Every method but `public` and `content` sees one tenant's files only."""

    def __init__(self, database: AsyncEngine, objects: Objects, signer: Signer) -> None:
        self._database, self._reading = database, database.execution_options(**READING)
        self._objects, self.signer = objects, signer

    async def keep(
        self, tenant: str, picture: Inspected, kind: str = UPLOAD, owner: str | None = None
    ) -> Asset:
        """Store the bytes, then say whose they are; StorageFull, StorageUnavailable.

        `owner` is the id of what needs them, or else the tenant.
        """
        content, mime, extension = picture.content, picture.mime, picture.extension
        sha256 = await asyncio.to_thread(self._objects.put, content, extension, mime)
        row = {
            "sha256": sha256,
            "size": len(content),
            "mime": mime,
            "extension": extension,
            "width": picture.width,
            "height": picture.height,
        }
        with storage_errors():
            async with self._database.begin() as connection:
                await connection.run_sync(_keep, tenant, row, kind, owner or tenant)
        return await self.find(tenant, sha256)

    async def find(self, tenant: str, sha256: str) -> Asset:
        """NotFound unless the tenant has it."""
        mine = select(AssetRefRow.sha256).where(
            AssetRefRow.sha256 == sha256, AssetRefRow.tenant == tenant
        )
        asked = select(*COLUMNS).where(AssetRow.sha256 == sha256, mine.exists())
        with storage_errors():
            async with self._reading.connect() as connection:
                row = (await connection.execute(asked)).one_or_none()
        if row is None:
            raise NotFound("asset", "there is no such asset")
        return Asset(*row)

    async def several(self, tenant: str, names: Collection[str]) -> dict[str, Asset]:
        """Those of the files that the tenant has, by their hashes."""
        if not names:
            return {}
        mine = select(AssetRefRow.sha256).where(
            AssetRefRow.sha256 == AssetRow.sha256, AssetRefRow.tenant == tenant
        )
        asked = select(*COLUMNS).where(AssetRow.sha256.in_(names), mine.exists())
        with storage_errors():
            async with self._reading.connect() as connection:
                return {row[0]: Asset(*row) for row in await connection.execute(asked)}

    async def public(self, sha256: str) -> Asset | None:
        """A file of any tenant whose files need no signature, or whoever was given one for it."""
        whose = (
            select(AssetRefRow.sha256)
            .join(TenantRow, TenantRow.id == AssetRefRow.tenant)
            .where(AssetRefRow.sha256 == sha256, TenantRow.private.is_(False))
        )
        return await self._one(sha256, whose.exists())

    async def signed(self, sha256: str) -> Asset | None:
        """A file whose address was signed when its owner was known."""
        return await self._one(sha256)

    async def _one(self, sha256: str, *further: ColumnElement[bool]) -> Asset | None:
        asked = select(*COLUMNS).where(AssetRow.sha256 == sha256, *further)
        with storage_errors():
            async with self._reading.connect() as connection:
                row = (await connection.execute(asked)).one_or_none()
        return None if row is None else Asset(*row)

    async def listed(self, tenant: str, before: Asset | None, limit: int) -> list[Asset]:
        """Uploads and what was drawn, the newest first; `before` continues a page."""
        mine = select(AssetRefRow.sha256).where(
            AssetRefRow.sha256 == AssetRow.sha256,
            AssetRefRow.tenant == tenant,
            AssetRefRow.kind.in_((UPLOAD, DRAWN)),
        )
        asked = select(*COLUMNS).where(mine.exists())
        if before is not None:
            twin = (AssetRow.created_at == before.created_at) & (AssetRow.sha256 < before.sha256)
            asked = asked.where((AssetRow.created_at < before.created_at) | twin)
        newest = asked.order_by(AssetRow.created_at.desc(), AssetRow.sha256.desc()).limit(limit)
        with storage_errors():
            async with self._reading.connect() as connection:
                return [Asset(*row) for row in await connection.execute(newest)]

    async def forget(self, tenant: str, sha256: str) -> None:
        """Drop the upload; NotFound if there is none. What a job drew stays with the job."""
        mine = delete(AssetRefRow).where(
            AssetRefRow.sha256 == sha256,
            AssetRefRow.tenant == tenant,
            AssetRefRow.kind == UPLOAD,
        )
        with storage_errors():
            async with self._database.begin() as connection:
                gone = (await connection.execute(mine)).rowcount
        if gone == 0:
            raise NotFound("asset", "there is no such upload")

    async def check(self, tenant: str, pictures: Collection[str]) -> None:
        """InvalidRequest names the first picture that the tenant does not have."""
        if not pictures:
            return
        asked = select(AssetRefRow.sha256).where(
            AssetRefRow.tenant == tenant, AssetRefRow.sha256.in_(pictures)
        )
        with storage_errors():
            async with self._reading.connect() as connection:
                known = set(await connection.scalars(asked))
        for sha256 in pictures:
            if sha256 not in known:
                raise InvalidRequest("picture", f"{sha256[:12]} is not here; upload it first")

    async def content(self, asset: Asset) -> bytes:
        """The bytes; NotFound if the store has lost them."""
        found = await asyncio.to_thread(self._objects.get, asset.sha256, asset.extension)
        if found is None:
            raise NotFound("asset", "its bytes are gone")
        return found

    async def drop(self, files: Collection[File]) -> None:
        """Delete files that no row names any more."""
        for sha256, extension in files:
            await asyncio.to_thread(self._objects.delete, sha256, extension)

    def path(self, asset: Asset) -> str:
        """The address below the service's root that opens the file for a while."""
        return f"/assets/{asset.name}?{self.signer.query(asset.name)}"


def _keep(
    connection: Connection, tenant: str, row: dict[str, object], kind: str, owner: str
) -> None:
    insert_if_new(connection, AssetRow, **row)
    insert_if_new(
        connection, AssetRefRow, sha256=row["sha256"], tenant=tenant, kind=kind, owner=owner
    )
