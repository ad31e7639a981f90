"""Files that rows name, opened by their hash; those that nothing names any more, removed."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, exists, select

from luciole.domain import InvalidRequest
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.errors import StorageUnavailable
from serving.storage.objects import Objects, Stored
from serving.storage.tables import AssetRefRow, AssetRow
from serving.storage.writing import storage_errors

AT_ONCE = 500
File = tuple[str, str]
"""Hash and extension."""


def content(database: Engine, objects: Objects, sha256: str) -> bytes:
    """The bytes of an asset; InvalidRequest if there is none, StorageUnavailable if its file is."""
    asked = select(AssetRow.extension).where(AssetRow.sha256 == sha256)
    with storage_errors(), database.connect() as connection:
        extension = connection.execution_options(**READING).scalar(asked)
    if extension is None:
        raise InvalidRequest("picture", f"there is none named {sha256[:12]}...")
    found = objects.get(sha256, extension)
    if found is None:
        raise StorageUnavailable("objects", f"the file of {sha256[:12]}... is missing")
    return found


def release(connection: Connection, hashes: Collection[str]) -> list[File]:
    """Delete the rows of those that nothing refers to; returns the files, which can go now."""
    unused = ~exists().where(AssetRefRow.sha256 == AssetRow.sha256)
    asked = select(AssetRow.sha256, AssetRow.extension).where(AssetRow.sha256.in_(hashes), unused)
    files = [(row.sha256, row.extension) for row in connection.execute(asked)]
    gone = AssetRow.sha256.in_([sha256 for sha256, _ in files])
    connection.execute(delete(AssetRow).where(gone))
    return files


def sweep(database: Engine, objects: Objects, age: timedelta) -> list[str]:
    """Remove what nobody refers to and is older than `age`; returns the hashes.

    Nothing refers to a file while it is on its way to its rows, hence the age.
    """
    before = now() - age
    removed = []
    for sha256, extension in _without_refs(database, before):
        with storage_errors(), database.begin() as connection:
            unused = ~exists().where(AssetRefRow.sha256 == AssetRow.sha256)
            row = delete(AssetRow).where(AssetRow.sha256 == sha256, unused)
            if connection.execute(row).rowcount == 0:
                continue
        objects.delete(sha256, extension)
        removed.append(sha256)
    for file in _without_rows(database, objects, before):
        objects.delete(file.sha256, file.extension)
        removed.append(file.sha256)
    return removed


def _without_refs(database: Engine, before: datetime) -> list[tuple[str, str]]:
    unused = ~exists().where(AssetRefRow.sha256 == AssetRow.sha256)
    asked = select(AssetRow.sha256, AssetRow.extension)
    with storage_errors(), database.connect() as connection:
        reading = connection.execution_options(**READING)
        rows = reading.execute(asked.where(unused, AssetRow.created_at < before).limit(AT_ONCE))
        return [(row.sha256, row.extension) for row in rows]


def _without_rows(database: Engine, objects: Objects, before: datetime) -> Iterator[Stored]:
    for page in objects.pages():
        old = {file.sha256: file for file in page if file.changed_at < before}
        with storage_errors(), database.connect() as connection:
            asked = select(AssetRow.sha256).where(AssetRow.sha256.in_(old))
            known = set(connection.execution_options(**READING).scalars(asked))
        yield from (file for sha256, file in old.items() if sha256 not in known)
