"""Counts what was taken in a window that slides, in this process.

As `limits` counts in Redis, without its locks and tasks, which would cost more than the rest of a
request's admission: the last minute counts by the share of it that the window still covers.
"""

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MINUTE = 60.0
SOON = 1e-3
MOST = 10_000
"""Windows that are kept before those that ended are thrown away."""


@dataclass(slots=True)
class _Window:
    """What was taken in a minute and in the one before; `minute` counts from 1970."""

    minute: int
    taken: int = 0
    before: int = 0

    def move_to(self, minute: int) -> None:
        """The present becomes the past."""
        if minute != self.minute:
            self.before = self.taken if minute == self.minute + 1 else 0
            self.minute, self.taken = minute, 0


class Counters:
    """One window for each key."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows: dict[Hashable, _Window] = {}

    def take(self, key: Hashable, cost: int, most: int) -> float:
        """0 if `cost` was taken, or else the seconds until it would not go over `most`."""
        minutes = self._clock() / MINUTE
        minute = int(minutes)
        window = self._windows.get(key)
        if window is None:
            window = self._new(key, minute)
        window.move_to(minute)
        passed = minutes - minute
        weighted = math.floor(window.before * (1 - passed) + window.taken)
        if weighted + cost > most:
            return max(SOON, MINUTE * (_fits_at(window, cost, most) - passed))
        window.taken += cost
        return 0.0

    def _new(self, key: Hashable, minute: int) -> _Window:
        if len(self._windows) >= MOST:
            old = [key for key, known in self._windows.items() if known.minute < minute - 1]
            for one in old:
                del self._windows[one]
        self._windows[key] = window = _Window(minute)
        return window


def _fits_at(window: _Window, cost: int, most: int) -> float:
    """When a refused cost would fit, in minutes from the beginning of this one.

    Counts are rounded down, so there is room as soon as less than `most - cost + 1` is taken.
    """
    room = most - cost + 1
    if window.taken < room:
        return 1 - (room - window.taken) / window.before
    return 2 - room / window.taken
