"""SIGTERM and SIGINT as something to wait for."""

import contextlib
import signal
from queue import Empty, SimpleQueue
from typing import Any


class StopSignals:
    """Made in the main thread, which alone waits.

    A handler runs between any two instructions of that thread, so it must take no lock which the
    thread may hold: setting an Event that it waits for can deadlock. SimpleQueue.put cannot.
    """

    def __init__(self) -> None:
        self.came = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._come)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether one has come, after at most `seconds`; None waits for as long as it takes."""
        if not self.came:
            with contextlib.suppress(Empty):
                self._wake.get(timeout=seconds)
        return self.came

    def _come(self, *_: Any) -> None:
        self.came = True
        self._wake.put(None)
