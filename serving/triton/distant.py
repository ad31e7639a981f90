"""The keeper of a Triton server that somebody else runs: it can only ask, and wait."""

import threading
import time
from collections.abc import Callable

from luciole.domain import EngineError

PAUSE = 0.5
"""Seconds between two questions."""


class Distant:
    """Trusts the server until a call fails; then waits until `proof` passes again."""

    def __init__(self, proof: Callable[[], None]) -> None:
        self._proof = proof
        self._trusted = threading.Event()

    def wait_ready(self, timeout: float) -> None:
        """Return once the server is proven; EngineError after `timeout` seconds."""
        until = time.monotonic() + timeout
        while not self._trusted.is_set():
            try:
                self._proof()
            except EngineError:
                if time.monotonic() + PAUSE > until:
                    raise
                time.sleep(PAUSE)
            else:
                self._trusted.set()

    def report_trouble(self) -> None:
        """Hear that a call failed: the next caller asks for a proof."""
        self._trusted.clear()
