"""Stories: the same character from frame to frame, others kept apart, places that stay or change.

In the manner of ViStoryBench (arXiv:2505.24862): likeness of characters across frames, and whether
each frame's surroundings are what its shot says, which it inherited or changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evals.characters import SEEN
from evals.errors import EvaluationError
from evals.judge import load_classifier, load_judge
from evals.likeness import Chances, chances, same_character
from evals.metric import Metric
from evals.sample import Images, Sample
from evals.statistics import Scores
from evals.stories import Frame, pairs, picture_of, portraits, stories, transitions
from luciole.models.classifier import AttributeClassifier

_LIKE = "cross-frame character similarity: ViStoryBench, arXiv:2505.24862"
_REFERENCE = "similarity to the reference: ViStoryBench, arXiv:2505.24862"
_SCENE = "scene consistency: ViStoryBench, arXiv:2505.24862"
METRICS = (
    Metric("story/same_character", "higher", _LIKE, 0.03),
    Metric("story/like_reference", "higher", _REFERENCE, 0.03),
    Metric("story/kept_apart", "higher", _LIKE, 0.03),
    Metric("story/inherited", "higher", _SCENE, 0.03, share=True),
    Metric("story/changed", "higher", _SCENE, 0.03, share=True),
)


Place = tuple[int, int | str]
"""A frame, and another frame, a character or a kind of surroundings."""


@dataclass(frozen=True)
class Story:
    """Every checkpoint is a folder of the same storyboards, drawn; `frames` is any one of those.

    A score is a story's mean: over pairs of its frames, or over frames and kinds of surroundings.
    """

    frames: str
    judge: str
    eye: str
    references: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Pictures of each character, by name; who has none is compared with other frames alone."""

    ceiling = False

    @property
    def unit(self) -> int:
        """The frames of a story."""
        lengths = {len(story) for story in stories(Path(self.frames))}
        if len(lengths) > 1:
            raise EvaluationError(self.frames, f"stories have {sorted(lengths)} frames; not alike")
        return lengths.pop()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that every story has something to say about."""
        told = stories(Path(self.frames))
        return tuple(one for one in METRICS if all(self._places(one.name, story) for story in told))

    def samples(self, seed: int, size: int) -> list[Sample]:
        """One a frame; the picture is the storyboard's."""
        return [
            Sample(f"{frame.story} / {frame.name}", seed)
            for story in stories(Path(self.frames))
            for frame in story
        ]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """Likeness is the geometric mean, over looks, of the chance that two frames agree."""
        eye = load_classifier(Path(self.eye))
        seen = _Seen(
            chances(eye, pictures), self._shown(eye), load_judge(Path(self.judge))(pictures)
        )
        found: dict[str, list[float]] = {metric.name: [] for metric in self.metrics}
        for number, story in enumerate(stories(Path(self.frames))):
            for name, means in found.items():
                places = self._places(name, story)
                scores = [seen.score(name, story, number * self.unit, at) for at in places]
                means.append(float(np.mean(scores)))
        return {name: np.array(means, float) for name, means in found.items()}

    def _places(self, metric: str, frames: Sequence[Frame]) -> Sequence[Place]:
        kinds: dict[str, Callable[[], Sequence[Place]]] = {
            "story/same_character": lambda: pairs(frames, same=True),
            "story/like_reference": lambda: portraits(frames, set(self.references)),
            "story/kept_apart": lambda: pairs(frames, same=False),
            "story/inherited": lambda: transitions(frames, changed=False),
            "story/changed": lambda: transitions(frames, changed=True),
        }
        return kinds[metric]()

    def _shown(self, eye: AttributeClassifier) -> dict[str, Chances]:
        """What is read of each character's references, their mean."""
        found: dict[str, Chances] = {}
        for name, files in self.references.items():
            looks = chances(eye, np.stack([picture_of(Path(file)) for file in files]))
            found[name] = {look: part.mean(axis=0, keepdims=True) for look, part in looks.items()}
        return found


@dataclass(frozen=True)
class _Seen:
    """What was read of all frames and of the references."""

    frames: Chances
    references: Mapping[str, Chances]
    surroundings: Mapping[str, Sequence[str]]

    def score(self, metric: str, story: Sequence[Frame], first: int, at: Place) -> float:
        """Of one place of a story whose frames begin at `first`."""
        i, other = at
        if isinstance(other, int):
            alike = likeness(self._frame(first + i), self._frame(first + other))
            return alike if metric == "story/same_character" else 1 - alike
        if metric == "story/like_reference":
            return likeness(self._frame(first + i), self.references[other])
        return float(self.surroundings[other][first + i] == story[i].promised[other])

    def _frame(self, i: int) -> Chances:
        return {look: part[i : i + 1] for look, part in self.frames.items()}


def likeness(a: Chances, b: Chances) -> float:
    """Of two pictures, 0 to 1."""
    return float(np.exp(same_character(a, b)[0, 0] / len(SEEN)))
