"""Drawing one frame: what a worker asks of an engine, and how long it bears with it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from luciole.domain import (
    Busy,
    Cancelled,
    DeadlineExceeded,
    EngineBadOutput,
    EngineError,
    RenderPlan,
)
from serving.orchestration.errors import ServiceAway
from serving.storage.errors import StorageUnavailable

T = TypeVar("T")
Pixels = NDArray[np.uint8]
"""Height x width x RGB."""
Show = Callable[[int, int, Callable[[], Pixels]], None]
"""Hears (steps done, steps in all), and can have the picture as far as it is."""
BAD_OUTPUTS = 3
"""An engine that answers nonsense so often will not better itself."""
log = structlog.get_logger()


@dataclass
class Watch:
    """Is told of every step of a frame, and stops it there when it must stop."""

    deadline: float
    """A time of `time.monotonic`."""
    canceled: Callable[[], bool]
    tell: Callable[[int, int], None]
    """Hears (steps done, steps in all)."""
    size: float = 0.0
    """Megapixels of the frame."""
    show: Show | None = None
    """Is given every look at the picture on its way, and takes those that somebody wants."""
    steps: int = field(default=0, init=False)
    """Done since the frame was last begun."""

    @property
    def spent(self) -> float:
        """Steps x megapixels that were run."""
        return self.steps * self.size

    def step(self, done: int, total: int) -> None:
        """Cancelled or DeadlineExceeded between two steps."""
        self.steps = done
        self.check()
        self.tell(done, total)

    def check(self) -> None:
        """Raise what `step` raises."""
        if self.canceled():
            raise Cancelled("job", "was canceled")
        if time.monotonic() > self.deadline:
            raise DeadlineExceeded("deadline", "passed before the job was done")


class Artist(Protocol):
    """Draws frames, several at a time from as many threads."""

    def draw(self, plan: RenderPlan, watch: Watch) -> Pixels:
        """Call `watch.step` after each step; EngineError where trying again may help."""
        ...


@dataclass(frozen=True)
class Easel:
    """One frame's way to an engine that may be away for a while."""

    artist: Artist
    watch: Watch

    def draw(self, plan: RenderPlan) -> Pixels:
        """Draw, however often it takes before the deadline."""
        return bear_with(lambda: self.artist.draw(plan, self.watch), self.watch)

    def bear_with(self, act: Callable[[], T]) -> T:
        """The same for whatever else asks the engine."""
        return bear_with(act, self.watch)


def bear_with(act: Callable[[], T], watch: Watch) -> T:
    """Try again, later each time, until the deadline; then raise what went wrong last."""
    pause, nonsense = 0.1, 0
    while True:
        try:
            return act()
        except (EngineError, Busy, ServiceAway, StorageUnavailable) as error:
            nonsense += isinstance(error, EngineBadOutput)
            late = time.monotonic() + pause > watch.deadline
            if late or nonsense == BAD_OUTPUTS:
                raise
            log.warning("drawing failed", cause=error.code, field=error.field, again_in=pause)
        _sleep(pause * random.uniform(0.5, 1.0), watch)
        pause = min(2 * pause, 5.0)


def _sleep(seconds: float, watch: Watch) -> None:
    """Wait, but not for somebody who has gone."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        watch.check()
        time.sleep(min(left, 0.1))
