"""Frames are drawn together, but whoever is suspected of crashing workers is drawn alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """So that no innocent job is counted among those that bring a worker down."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._running, self._suspects = 0, 0
        self._alone = False

    @contextmanager
    def turn(self, suspect: bool) -> Iterator[None]:
        """Wait until the block may run; suspects come before others."""
        with self._change:
            self._suspects += suspect
            free = self._free_of_all if suspect else self._free_of_suspects
            self._change.wait_for(free)
            self._running, self._alone = self._running + 1, suspect
        try:
            yield
        finally:
            with self._change:
                self._running, self._alone = self._running - 1, False
                self._suspects -= suspect
                self._change.notify_all()

    def _free_of_all(self) -> bool:
        return self._running == 0

    def _free_of_suspects(self) -> bool:
        return self._suspects == 0 and not self._alone
