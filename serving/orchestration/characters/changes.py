"""Changes of a tenant's characters in their order, for indexes that follow them."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select, update

from serving.storage.columns import now
from serving.storage.tables import CharacterRemovalRow, CharacterRow, TenantRow

DIGITS = 15
REMEMBERED = 24 * 60 * 60.0
"""Seconds for which it is told that somebody was removed; then nothing at all is left."""
Indexed = tuple[int, int, bytes]
"""The index's name of a character, its version and its embedding."""


def number_of(character: str) -> int:
    """The index's name of a character: the first 60 bits of its id."""
    return int(character.rpartition("_")[2][:DIGITS], 16)


def revision(connection: Connection, tenant: str) -> int:
    """The number of the newest change of any of a tenant's characters."""
    asked = select(TenantRow.character_revision).where(TenantRow.id == tenant)
    return connection.execute(asked).scalar_one_or_none() or 0


def next_revision(connection: Connection, tenant: str) -> int:
    """Changes wait for each other from here to the end: a later number is committed later."""
    counted = update(TenantRow).where(TenantRow.id == tenant)
    counted = counted.values(character_revision=TenantRow.character_revision + 1)
    return connection.execute(counted.returning(TenantRow.character_revision)).scalar_one()


def changed(
    connection: Connection, tenant: str, encoder: str, after: int, size: int
) -> Iterator[list[Indexed]]:
    """Characters that were written after a change, as one encoder has seen them."""
    asked = (
        select(CharacterRow.id, CharacterRow.version, CharacterRow.embedding, CharacterRow.revision)
        .where(CharacterRow.tenant == tenant, CharacterRow.encoder == encoder)
        .order_by(CharacterRow.revision)
        .limit(size)
    )
    while rows := connection.execute(asked.where(CharacterRow.revision > after)).all():
        after = rows[-1].revision
        yield [(number_of(row.id), row.version, row.embedding) for row in rows]


def removed(connection: Connection, tenant: str, after: int) -> list[int]:
    """The index's names of those who were removed after a change."""
    asked = select(CharacterRemovalRow.number).where(
        CharacterRemovalRow.tenant == tenant, CharacterRemovalRow.revision > after
    )
    return list(connection.execute(asked).scalars())


def note_removal(connection: Connection, tenant: str, character: str, revision: int) -> None:
    """Say for a while that somebody was removed, by the number that indexes know them by."""
    old = CharacterRemovalRow.created_at < now() - timedelta(seconds=REMEMBERED)
    connection.execute(delete(CharacterRemovalRow).where(old))
    connection.execute(
        insert(CharacterRemovalRow).values(
            tenant=tenant, revision=revision, number=number_of(character)
        )
    )
