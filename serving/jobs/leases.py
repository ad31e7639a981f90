"""Which workers are alive: each renews a row, and what a dead one left goes to the others."""

import os
import secrets
import socket
from datetime import datetime, timedelta

from dbos import DBOS, WorkflowStatusString
from sqlalchemy import Connection, Engine, delete, insert, select, update

from serving.jobs.errors import Fenced
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.errors import StorageUnavailable
from serving.storage.tables import ExecutorLeaseRow
from serving.storage.writing import storage_errors

MEMORY = timedelta(days=1)
"""How long a dead worker is remembered, in case that it thaws."""


def executor_name() -> str:
    """A name that no other worker ever had, not even one of the same process id."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Lease:
    """A worker's word that it is alive, good for `seconds`."""

    def __init__(self, database: Engine, seconds: float) -> None:
        self._database = database
        self.executor = executor_name()
        self.lasts = timedelta(seconds=seconds)

    def take(self) -> None:
        """Before any work is taken."""
        with self._database.begin() as connection:
            connection.execute(
                insert(ExecutorLeaseRow).values(
                    executor=self.executor,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    expires_at=now() + self.lasts,
                )
            )

    def renew(self) -> None:
        """Fenced if others have given it up; the work went to them."""
        moment = now()
        ours = update(ExecutorLeaseRow).where(
            ExecutorLeaseRow.executor == self.executor, ExecutorLeaseRow.reaped_at.is_(None)
        )
        with self._database.begin() as connection:
            renewed = ours.values(renewed_at=moment, expires_at=moment + self.lasts)
            if connection.execute(renewed).rowcount != 1:
                raise Fenced("lease", f"of {self.executor} was given up")

    def check(self, connection: Connection) -> None:
        """Fenced unless it holds until the end of this transaction."""
        asked = (
            select(ExecutorLeaseRow.reaped_at)
            .where(ExecutorLeaseRow.executor == self.executor)
            .with_for_update(read=True)
        )
        row = connection.execute(asked).one_or_none()
        if row is None or row.reaped_at is not None:
            raise Fenced("lease", f"of {self.executor} was given up")

    def give_back(self) -> None:
        """After the last work: others need not wait for it to expire."""
        with self._database.begin() as connection:
            connection.execute(
                delete(ExecutorLeaseRow).where(ExecutorLeaseRow.executor == self.executor)
            )


def reap(database: Engine) -> list[str]:
    """Give the work of dead workers to the living; returns the names of the dead.

    A worker that thaws may take work after its lease was given up. So every executor that holds
    work and has no lease is looked for again and again, until a pass finds nothing.
    """
    _give_up_expired(database)
    dead = sorted(_holders() - _alive(database))
    if dead:
        DBOS._recover_pending_workflows(dead)
    return dead


def frozen(database: Engine) -> list[tuple[int, datetime]]:
    """Processes of this machine that have been silent for twice their lease, and since when.

    On SQLite one that was frozen in mid-transaction keeps everybody else from writing. While the
    database is away nobody can give a sign of life, and nobody is judged.
    """
    row, moment = ExecutorLeaseRow, now()
    asked = select(row.pid, row.renewed_at, row.expires_at).where(
        row.host == socket.gethostname(), row.expires_at < moment
    )
    try:
        with storage_errors(), database.connect() as connection:
            rows = connection.execution_options(**READING).execute(asked).all()
    except StorageUnavailable:
        return []
    return [
        (row.pid, row.renewed_at)
        for row in rows
        if moment - row.renewed_at > 2 * (row.expires_at - row.renewed_at)
    ]


def _give_up_expired(database: Engine) -> None:
    moment = now()
    expired = (ExecutorLeaseRow.expires_at < moment, ExecutorLeaseRow.reaped_at.is_(None))
    with database.connect() as connection:
        connection = connection.execution_options(**READING)
        if connection.scalar(select(ExecutorLeaseRow.executor).where(*expired).limit(1)) is None:
            return
    with database.begin() as connection:
        connection.execute(update(ExecutorLeaseRow).where(*expired).values(reaped_at=moment))
        forgotten = ExecutorLeaseRow.reaped_at < moment - MEMORY
        connection.execute(delete(ExecutorLeaseRow).where(forgotten))


def _alive(database: Engine) -> set[str]:
    with database.connect() as connection:
        connection = connection.execution_options(**READING)
        asked = select(ExecutorLeaseRow.executor).where(ExecutorLeaseRow.reaped_at.is_(None))
        return set(connection.scalars(asked))


def _holders() -> set[str]:
    """Executors that have begun work and not ended it."""
    pending = DBOS.list_workflows(
        status=WorkflowStatusString.PENDING.value, load_input=False, load_output=False
    )
    return {status.executor_id for status in pending if status.executor_id is not None}
