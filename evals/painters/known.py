"""Pictures that nobody has to draw: the ceiling, and the cheapest way to copy a character."""

from collections.abc import Mapping, Sequence
from typing import Any

from evals.cache import picture_hash
from evals.errors import EvaluationError
from evals.painters.painter import Architecture
from evals.sample import Image, Sample


class KnownPictures:
    """The world's own renders (`real`), or the references handed back (`reference`)."""

    engine = "none"
    architecture: Architecture | None = None

    def __init__(self, name: str, which: str) -> None:
        self.name, self._which = name, which

    def recipe(self, sample: Sample) -> Mapping[str, Any]:
        """The picture itself."""
        return {"known": picture_hash(self._picture(sample))}

    def draw(self, samples: Sequence[Sample]) -> list[Image]:
        """As they are."""
        return [self._picture(sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _picture(self, sample: Sample) -> Image:
        picture: Image | None = getattr(sample, self._which)
        if picture is None:
            words = f"{sample.prompt!r} has no {self._which} picture; leave this suite's task out"
            raise EvaluationError(self.name, words)
        return picture
