"""Transactions of a worker: they wait for room and databases, and count only with a lease."""

import os
import time
from collections.abc import Callable
from typing import Concatenate, NoReturn, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine

from serving.jobs.errors import Fenced
from serving.jobs.leases import Lease
from serving.storage.errors import StorageFull, StorageUnavailable
from serving.storage.writing import storage_errors

P = ParamSpec("P")
R = TypeVar("R")
CRASHED = 70
"""The exit status of a worker that gave itself up; its supervisor starts another."""
log = structlog.get_logger()


class FencedDatabase:
    """Ends the process at once when others have given up its lease."""

    def __init__(self, database: Engine, lease: Lease) -> None:
        self._database, self._lease = database, lease

    def write(
        self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Commit what `work` does, however long it takes."""
        return patiently(lambda: self._once(work, *args, **kwargs))

    def write_if_easy(
        self, work: Callable[Concatenate[Connection, P], None], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """The same for what may be lost: one try."""
        try:
            self._once(work, *args, **kwargs)
        except (StorageFull, StorageUnavailable) as error:
            log.warning("not written", what=work.__name__, cause=error.code)

    def _once(
        self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        try:
            with storage_errors(), self._database.begin() as connection:
                self._lease.check(connection)
                return work(connection, *args, **kwargs)
        except Fenced as error:
            give_up(str(error))


def patiently(write: Callable[[], R]) -> R:
    """Wait until there is room and a database; what is drawn already is not thrown away."""
    pause = 0.05
    while True:
        try:
            return write()
        except (StorageFull, StorageUnavailable) as error:
            log.warning("waiting for storage", cause=error.code, again_in=pause)
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def give_up(why: str) -> NoReturn:
    """End this process now, without another write; its jobs go on elsewhere."""
    log.warning("a worker gives itself up", cause=why)
    os._exit(CRASHED)
