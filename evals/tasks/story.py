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
        places = self._places
        return tuple(one for one in METRICS if all(places(one.name)(story) for story in told))

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
        seen, shown = chances(eye, pictures), self._shown(eye)
        read = load_judge(Path(self.judge))(pictures)
        found: dict[str, list[float]] = {metric.name: [] for metric in self.metrics}
        for number, story in enumerate(stories(Path(self.frames))):
            first = number * self.unit
            for name, means in found.items():
                places = self._places(name)(story)
                if name == "story/like_reference":
                    scores = [likeness(seen, first + i, 0, shown[str(who)]) for i, who in places]
                else:
                    scores = [_score(name, seen, read, story, first, at) for at in places]
                means.append(float(np.mean(scores)))
        return {name: np.array(means, float) for name, means in found.items()}

    def _places(self, metric: str) -> "Places":
        if metric == "story/like_reference":
            return lambda frames: portraits(frames, set(self.references))
        return _places(metric)

    def _shown(self, eye: AttributeClassifier) -> dict[str, Chances]:
        """What is read of each character's references, their mean."""
        found: dict[str, Chances] = {}
        for name, files in self.references.items():
            looks = chances(eye, np.stack([picture_of(Path(file)) for file in files]))
            found[name] = {look: part.mean(axis=0, keepdims=True) for look, part in looks.items()}
        return found


Places = Callable[[Sequence[Frame]], Sequence[tuple[int, int | str]]]


def _score(
    metric: str,
    seen: Chances,
    read: Mapping[str, Sequence[str]],
    story: Sequence[Frame],
    first: int,
    at: tuple[int, int | str],
) -> float:
    """Of one place of a story whose frames begin at `first`."""
    i, other = at
    if isinstance(other, int):
        alike = likeness(seen, first + i, first + other)
        return alike if metric == "story/same_character" else 1 - alike
    return float(read[other][first + i] == story[i].promised[other])


def likeness(seen: Chances, i: int, j: int, other: Chances | None = None) -> float:
    """0 to 1, of picture `i` and picture `j`, which is among `other` where that is given."""
    a, b = (
        {look: part[k : k + 1] for look, part in of.items()}
        for of, k in ((seen, i), (seen if other is None else other, j))
    )
    return float(np.exp(same_character(a, b)[0, 0] / len(SEEN)))


def _places(metric: str) -> Places:
    kinds: dict[str, Places] = {
        "story/same_character": lambda frames: pairs(frames, same=True),
        "story/kept_apart": lambda frames: pairs(frames, same=False),
        "story/inherited": lambda frames: transitions(frames, changed=False),
        "story/changed": lambda frames: transitions(frames, changed=True),
    }
    return kinds[metric]
