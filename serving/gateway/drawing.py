"""What the gateway asks of whatever draws, and how it is handed over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from luciole.bundle import Manifest
from luciole.domain import RenderPlan
from luciole.engines import Engine
from luciole.engines.batcher import StepBatcher
from luciole.pictures import Pictures
from luciole.pipeline import Progress
from serving.orchestration.characters.encoder import Encoder
from serving.orchestration.wording import Wording

Pixels = NDArray[np.uint8]
"""Height x width x RGB."""
Look = Callable[[int, int, Callable[[], list[Pixels]]], None]


class Draws(Protocol):
    """Makes a picture of each plan, as `luciole.pipeline.Pipeline` does."""

    @property
    def manifest(self) -> Manifest:
        """What is known of the model."""
        ...

    def check(self, plan: RenderPlan) -> None:
        """InvalidRequest names what this model cannot do."""
        ...

    def over(self, engine: Engine, pictures: Pictures | None = None) -> "Draws":
        """The same over one request's view of the engine, with the pictures that it may see."""
        ...

    def render(
        self,
        plans: Sequence[RenderPlan],
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> list[Pixels]:
        """Draw; raises EngineError. `progress` hears (steps done, steps in all).

        `look` hears the same, and can have the pictures as far as they are.
        """
        ...


class Keeper(Protocol):
    """Knows whether the engine can be asked, and heals it."""

    def wait_ready(self, timeout: float) -> None:
        """Return once the engine can be asked; EngineError after `timeout` seconds."""
        ...

    def report_trouble(self) -> None:
        """Hear that a call failed."""
        ...


class InProcess:
    """The keeper of an engine that lives in this process: always there, nothing to heal."""

    def wait_ready(self, timeout: float) -> None:
        """Return at once."""

    def report_trouble(self) -> None:
        """Nothing can be done."""


@dataclass(frozen=True)
class Drawing:
    """A pipeline over a running engine, and what is to be known of that engine."""

    pipeline: Draws
    batcher: StepBatcher
    """Where the steps of all requests meet."""
    engine: str
    keeper: Keeper
    prove: Callable[[], None]
    """One real inference through every graph; raises EngineError."""
    notice: str | None = None
    """Why this engine and not the preferred one."""
    gauges: dict[str, Callable[[], float]] | None = None
    """More numbers for /metrics, by name."""
    wording: Wording | None = None
    """What deals with words and styles; without it there are no routes for them."""
    seer: Encoder | None = None
    """The model's image encoder; without one nobody can be remembered."""
    looks: Encoder | None = None
    """What tells drawn people apart; without one nobody's drift is noticed."""
    told: Mapping[str, str] = field(default_factory=dict)
    """Settings, by their variables, with which other processes use the same engine."""
