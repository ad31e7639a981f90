"""What an evaluation asks of a checkpoint, and the cache and bars around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from rich.progress import Progress

from evals.cache import RenderCache, key_of
from evals.errors import EvaluationError
from evals.sample import Image, Images, Sample


@dataclass(frozen=True)
class Architecture:
    """What two checkpoints must share to be compared; `layers` are the attention's own."""

    resolution: int
    latent_channels: int
    text_width: int
    pooled_width: int
    layers: tuple[tuple[str, int, int], ...]


class Painter(Protocol):
    """Draws samples; whoever draws nothing has no architecture."""

    @property
    def name(self) -> str:
        """The checkpoint's."""
        ...

    @property
    def engine(self) -> str:
        """`torch`, `onnx`, `openvino`, `triton`, or `none`."""
        ...

    @property
    def architecture(self) -> Architecture | None:
        """None where nothing is drawn."""
        ...

    def recipe(self, sample: Sample) -> Mapping[str, Any]:
        """All that the picture depends on, as JSON."""
        ...

    def draw(self, samples: Sequence[Sample]) -> list[Image]:
        """One picture a sample."""
        ...

    def close(self) -> None:
        """Let go of the model."""
        ...


def refuse_mixed(painters: Sequence[Painter]) -> None:
    """EvaluationError names two checkpoints that cannot be compared, and in what they differ."""
    drawing = [(one.name, one.architecture) for one in painters if one.architecture is not None]
    for name, other in drawing[1:]:
        first_name, first = drawing[0]
        for field in fields(Architecture):
            mine, theirs = getattr(first, field.name), getattr(other, field.name)
            if mine != theirs:
                told = "" if field.name == "layers" else f": {mine} and {theirs}"
                words = f"{first_name!r} and {name!r} differ in {field.name}{told}"
                raise EvaluationError("checkpoints", f"{words}; compare models of one kind")


def drawn(
    painter: Painter, samples: Sequence[Sample], cache: RenderCache, batch: int, bar: Progress
) -> Images:
    """All pictures; those of earlier runs come from the cache, new ones go there at once."""
    keys = [key_of(painter.recipe(sample)) for sample in samples]
    known = {key: picture for key in keys if (picture := cache.get(key)) is not None}
    missing = {key: s for key, s in zip(keys, samples, strict=True) if key not in known}
    task = bar.add_task(f"{painter.name} draws", total=len(samples))
    bar.advance(task, len(samples) - len(missing))
    waiting = list(missing.items())
    for first in range(0, len(waiting), batch):
        some = waiting[first : first + batch]
        pictures = painter.draw([sample for _, sample in some])
        for (key, _), picture in zip(some, pictures, strict=True):
            cache.keep(key, picture)
            known[key] = picture
        bar.advance(task, len(some))
    bar.remove_task(task)
    return np.stack([known[key] for key in keys])
