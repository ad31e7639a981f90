"""The indexes of tenants' characters; each follows what SQL says, whichever process wrote it."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, Engine

from luciole.domain.character import Character
from luciole.neighbours import IndexDamaged, Neighbours
from serving.orchestration.characters import changes, records
from serving.storage.database import READING
from serving.storage.writing import storage_errors

_PAGE = 50_000


@dataclass
class _Held:
    """An index as it was after the change of this number, looked at on the monotonic clock."""

    index: Neighbours
    revision: int
    looked_at: float


class Indexes:
    """One file for each tenant; made again from SQL when it is missing, damaged or another's.

    Every change of a tenant's characters has a number in SQL, and what has a later one than an
    index has seen is read before the index is asked. Whoever calls holds a lock.
    """

    def __init__(self, database: Engine, folder: Path, encoder: str, dimension: int) -> None:
        """`encoder`: the hash of what made the directions, of so many numbers."""
        self._database, self._folder = database, folder
        self._encoder, self._dimension = encoder, dimension
        self._held: dict[str, _Held] = {}

    def holds(self, tenant: str) -> bool:
        """Whether it is open, and what changed lately is known."""
        held = self._held.get(tenant)
        return held is not None and time.monotonic() - held.looked_at < changes.REMEMBERED / 2

    def now(self, connection: Connection, tenant: str) -> Neighbours:
        """The open index, brought to what SQL is now."""
        if self._follow(connection, tenant):
            self.write(tenant)
        return self._held[tenant].index

    def open(self, tenant: str) -> None:
        """Read the file, and compare all of it with SQL."""
        index = Neighbours(self._dimension)
        with suppress(FileNotFoundError, IndexDamaged):
            kept, facts = Neighbours.open(self._file_of(tenant))
            if facts == self._facts(tenant):
                index = kept
        self._compare(tenant, index)

    def rebuild(self, tenant: str) -> int:
        """Make it from SQL alone; its size."""
        self._compare(tenant, Neighbours(self._dimension))
        self.write(tenant)
        return len(self._held[tenant].index)

    def add(self, tenant: str, character: Character, revision: int) -> None:
        """What this process has just written, as the change of this number."""
        held = self._held[tenant]
        names = np.array([changes.number_of(character.id)], np.int64)
        rows = np.array([character.embedding.values], np.float32)
        held.index.add(names, rows, np.array([character.version], np.int64))
        _seen(held, revision)

    def remove(self, tenant: str, character: str, revision: int) -> None:
        """What this process has just deleted, from memory and from the file."""
        held = self._held[tenant]
        held.index.remove(np.array([changes.number_of(character)], np.int64))
        _seen(held, revision)
        self.write(tenant)

    def write(self, tenant: str) -> None:
        """Write the file as SQL is now: nobody that another process removed comes back with it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with _alone(self._folder), self._reading() as connection:
            self._follow(connection, tenant)
            self._held[tenant].index.save(self._file_of(tenant), self._facts(tenant))

    def close(self) -> None:
        """Write all of them; the next start then has little to catch up with."""
        for tenant in self._held:
            self.write(tenant)

    def _follow(self, connection: Connection, tenant: str) -> bool:
        """Read the changes that the index has not seen; whether somebody was removed."""
        held = self._held[tenant]
        held.looked_at, newest = time.monotonic(), changes.revision(connection, tenant)
        if newest < held.revision:  # the database is an older one now
            self._compare(tenant, held.index)
            return True
        if newest == held.revision:
            return False
        for page in changes.changed(connection, tenant, self._encoder, held.revision, _PAGE):
            _add(held.index, page)
        removed = changes.removed(connection, tenant, held.revision)
        held.index.remove(np.array(removed, np.int64))
        held.revision = newest
        return bool(removed)

    def _compare(self, tenant: str, index: Neighbours) -> None:
        """What SQL has and the index has not is added, the opposite is taken out."""
        known = dict(zip(index.names.tolist(), index.versions.tolist(), strict=True))
        looked_at = time.monotonic()
        with self._reading() as connection:
            revision = changes.revision(connection, tenant)
            if not known:
                index = Neighbours(self._dimension, records.count(connection, tenant))
            for page in records.pages(connection, tenant, self._encoder, _PAGE):
                _add(index, [one for one in page if known.pop(one[0], None) != one[1]])
        index.remove(np.array(list(known), np.int64))
        self._held[tenant] = _Held(index, revision, looked_at)

    def _facts(self, tenant: str) -> dict[str, str]:
        return {"tenant": tenant, "encoder": self._encoder}

    def _file_of(self, tenant: str) -> Path:
        """A tenant's name may hold anything, a file's may not."""
        return self._folder / f"{hashlib.sha256(tenant.encode()).hexdigest()[:32]}.index"

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with storage_errors(), self._database.connect() as connection:
            yield connection.execution_options(**READING)


def _seen(held: _Held, revision: int) -> None:
    """What others changed in between is still to be read."""
    if revision == held.revision + 1:
        held.revision = revision


def _add(index: Neighbours, found: list[changes.Indexed]) -> None:
    if found:
        names, versions, vectors = zip(*found, strict=True)
        rows = np.frombuffer(b"".join(vectors), "<f4").reshape(len(found), -1)
        index.add(np.array(names, np.int64), rows, np.array(versions, np.int64))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process of this machine writes into the folder meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
