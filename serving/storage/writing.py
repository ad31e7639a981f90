"""What every writer needs: rows that may be there already, and errors in our own words."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from serving.storage.errors import StorageFull, StorageUnavailable
from serving.storage.tables import Row

_FULL = "no room on the disk; nothing was kept"


def insert_if_new(connection: Connection, row: type[Row], **values: Any) -> bool:
    """Whether it was inserted; a row of the same key stays as it is."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # Drivers do not agree on what the count of inserted rows is.
    inserted = make(row).on_conflict_do_nothing().returning(*inspect(row).primary_key)
    return connection.execute(inserted, values).one_or_none() is not None


def insert_or_replace(connection: Connection, row: type[Row], **values: Any) -> None:
    """A row of the same key is overwritten."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    key = [column.name for column in inspect(row).primary_key]
    rest = {name: value for name, value in values.items() if name not in key}
    statement = make(row).values(**values).on_conflict_do_update(index_elements=key, set_=rest)
    connection.execute(statement)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what a driver says of disks and connections into StorageFull and StorageUnavailable."""
    try:
        yield
    except DBAPIError as error:
        if _says_full(error.orig):
            raise StorageFull("storage", _FULL) from error
        if error.connection_invalidated or _passes(error.orig):
            raise StorageUnavailable("database", "does not answer now") from error
        raise
    except NoFreeConnection as error:
        raise StorageUnavailable("database", "has no free connection now") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull("storage", _FULL) from error
        raise


def _says_full(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        # A write-ahead log's index that cannot grow is how a full disk shows itself first.
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE
    return isinstance(error, psycopg.errors.DiskFull)


def _passes(error: BaseException | None) -> bool:
    """Whether the same statement may succeed later."""
    if isinstance(error, sqlite3.Error):
        passing = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR,
                   sqlite3.SQLITE_CANTOPEN}  # fmt: skip
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in passing
    return isinstance(error, psycopg.OperationalError)
