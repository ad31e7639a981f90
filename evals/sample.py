"""One picture that every checkpoint is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from luciole.domain import SolverName
from luciole.domain.request import Guidance, GuidanceEta

Image = UInt8[np.ndarray, "height width 3"]
Images = NDArray[np.uint8]
"""`[n, height, width, 3]`."""


@dataclass(frozen=True)
class Sample:
    """Words, a seed, and what else may guide; a checkpoint without such a part leaves that out.

    `styles` None: the checkpoint's own at its own weights; else exactly these, by name, of those
    that the checkpoint has.
    """

    prompt: str
    seed: int
    real: Image | None = field(default=None, repr=False)
    """The picture as the world draws it, where there is one."""
    reference: Image | None = field(default=None, repr=False)
    """The character that is to be drawn again."""
    controls: Mapping[str, Image] = field(default_factory=dict, repr=False)
    """Drawings by kind: `pose`, `depth`."""
    styles: tuple[tuple[str, float], ...] | None = None
    promised: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What is to be seen, by kind of attribute."""


def reals(samples: Sequence[Sample]) -> Images:
    """The real renders of samples that all have one."""
    return np.stack([sample.real for sample in samples if sample.real is not None])


@dataclass(frozen=True)
class Settings:
    """How all pictures are drawn, unless a checkpoint says otherwise of itself."""

    steps: int
    guidance_scale: Guidance
    solver: SolverName
    guidance_eta: GuidanceEta = 1.0
    size: int | None = None
    """Pixels a side; None: the model's own."""
    batch: int = 24
    threads: int = 0
