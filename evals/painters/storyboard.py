"""A folder of drawn storyboards gives its frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.cache import picture_hash
from evals.errors import EvaluationError
from evals.painters.painter import Architecture
from evals.sample import Image, Sample
from evals.stories import stories


class StoryboardFrames:
    """Draws nothing; a frame is found by its story's title and its own name."""

    engine = "none"
    architecture: Architecture | None = None

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._frames = {
            f"{frame.story} / {frame.name}": frame.picture
            for story in stories(folder)
            for frame in story
        }

    def recipe(self, sample: Sample) -> Mapping[str, Any]:
        """The picture itself."""
        return {"known": picture_hash(self._frame(sample))}

    def draw(self, samples: Sequence[Sample]) -> list[Image]:
        """As they are."""
        return [self._frame(sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _frame(self, sample: Sample) -> Image:
        if sample.prompt not in self._frames:
            raise EvaluationError(self.name, f"has no frame {sample.prompt!r}; draw it again")
        return self._frames[sample.prompt]
