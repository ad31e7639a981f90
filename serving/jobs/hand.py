"""The jobs that a worker draws at the moment, and which of them nobody wants any more."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, select

from serving.jobs import previews
from serving.storage.tables import JobRow


class Hand:
    """Asks about all jobs at once, so that a step costs no query."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._canceled: dict[str, bool] = {}
        self.watched: set[str] = set()
        """Tenants of whom somebody looks at previews."""

    @contextmanager
    def holding(self, job: str, canceled: bool) -> Iterator[None]:
        """The job is drawn while the block lasts."""
        with self._lock:
            self._canceled[job] = canceled
        try:
            yield
        finally:
            with self._lock:
                del self._canceled[job]

    def canceled(self, job: str) -> bool:
        """Whether a job in hand is to be stopped, as far as is known."""
        return self._canceled[job]

    def look(self, connection: Connection) -> None:
        """Learn which are to be stopped, and who looks at them."""
        with self._lock:
            known = list(self._canceled)
        if not known:
            return
        asked = select(JobRow.id).where(JobRow.id.in_(known), JobRow.cancel_requested.is_(True))
        stopped = list(connection.scalars(asked))
        self.watched = previews.watched(connection)
        with self._lock:
            self._canceled.update({job: True for job in stopped if job in self._canceled})

    def __len__(self) -> int:
        return len(self._canceled)
