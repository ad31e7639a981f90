"""Tenants, users and API keys in SQL."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from serving.gateway.auth.keys import NewKey, hash_of, new_key
from serving.gateway.auth.principal import Principal, Scope, known_scopes
from serving.gateway.refusals import NotFound
from serving.storage.columns import new_id, now
from serving.storage.database import READING
from serving.storage.tables import ApiKeyRow, TenantRow, UserRow


@dataclass(frozen=True)
class KeyCard:
    """What may be told of a key: never the key."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


CARD = (
    ApiKeyRow.id,
    ApiKeyRow.name,
    ApiKeyRow.scopes,
    ApiKeyRow.created_at,
    ApiKeyRow.expires_at,
    ApiKeyRow.revoked_at,
)


class Directory:
    """Who is known."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database, self._reading = database, database.execution_options(**READING)

    async def ensure_tenant(self, tenant: str, name: str) -> None:
        """Make the tenant unless it is there."""
        async with self._database.begin() as connection:
            await _ensure_tenant(connection, tenant, name)

    async def issue(
        self,
        tenant: str,
        name: str,
        scopes: Iterable[Scope],
        expires_at: datetime | None = None,
        user: str | None = None,
    ) -> NewKey:
        """Make a key; its secret cannot be had again."""
        made = new_key()
        row = {
            "id": made.id,
            "tenant": tenant,
            "user": user,
            "name": name,
            "hash": hash_of(made.secret),
            "scopes": sorted(scopes),
            "expires_at": expires_at,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(ApiKeyRow).values(row))
        return made

    async def holder(self, secret: str) -> Principal | None:
        """Whose key this is; None for one that is unknown, revoked or over."""
        asked = select(ApiKeyRow.id, ApiKeyRow.tenant, ApiKeyRow.scopes, ApiKeyRow.user).where(
            ApiKeyRow.hash == hash_of(secret),
            ApiKeyRow.revoked_at.is_(None),
            ApiKeyRow.expires_at.is_(None) | (ApiKeyRow.expires_at > now()),
        )
        async with self._reading.connect() as connection:
            found = (await connection.execute(asked)).one_or_none()
        if found is None:
            return None
        return Principal(found.tenant, found.id, known_scopes(found.scopes), found.user)

    async def keys(self, tenant: str) -> list[KeyCard]:
        """All keys of a tenant, the newest first."""
        asked = select(*CARD).where(ApiKeyRow.tenant == tenant).order_by(ApiKeyRow.id.desc())
        async with self._reading.connect() as connection:
            return [KeyCard(*row) for row in await connection.execute(asked)]

    async def count_keys(self) -> int:
        """Of all tenants: none means a first start."""
        async with self._reading.connect() as connection:
            return await connection.scalar(select(func.count()).select_from(ApiKeyRow)) or 0

    async def revoke(self, tenant: str, key: str) -> None:
        """The key opens nothing any more; NotFound if the tenant has no such key."""
        change = (
            update(ApiKeyRow)
            .where(ApiKeyRow.tenant == tenant, ApiKeyRow.id == key)
            .values(revoked_at=func.coalesce(ApiKeyRow.revoked_at, now()))
        )
        async with self._database.begin() as connection:
            done = await connection.execute(change)
        if done.rowcount == 0:
            raise NotFound("key", "there is no such key")

    async def user(
        self, issuer: str, subject: str, tenant: str | None, email: str | None = None
    ) -> Principal:
        """Somebody of an identity provider, with a tenant of their own unless one is named.

        A named tenant counts at every visit: who changes teams changes tenants.
        """
        async with self._database.begin() as connection:
            known = await _known_user(connection, issuer, subject)
            if known is None or tenant not in {None, known.tenant}:
                belongs = tenant or new_id("tenant")
                await _ensure_tenant(connection, belongs, email or subject)
                await _write_user(connection, issuer, subject, belongs, email)
                known = await _known_user(connection, issuer, subject)
        if known is None:
            raise NotFound("user", "went while it was looked up")
        return known


async def _ensure_tenant(connection: AsyncConnection, tenant: str, name: str) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # Private until somebody decides otherwise: whoever knows a file's name cannot fetch it.
    row = dialect.insert(TenantRow).values(id=tenant, name=name, private=True)
    await connection.execute(row.on_conflict_do_nothing())


async def _known_user(connection: AsyncConnection, issuer: str, subject: str) -> Principal | None:
    asked = select(UserRow.id, UserRow.tenant, UserRow.scopes).where(
        UserRow.issuer == issuer, UserRow.subject == subject
    )
    found = (await connection.execute(asked)).one_or_none()
    if found is None:
        return None
    return Principal(found.tenant, found.id, known_scopes(found.scopes), user=found.id)


async def _write_user(
    connection: AsyncConnection, issuer: str, subject: str, tenant: str, email: str | None
) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(UserRow).values(
        id=new_id("user"),
        tenant=tenant,
        issuer=issuer,
        subject=subject,
        email=email,
        scopes=sorted(Scope),
    )
    again = row.on_conflict_do_update(
        index_elements=["issuer", "subject"], set_={"tenant": tenant, "email": email}
    )
    await connection.execute(again)
