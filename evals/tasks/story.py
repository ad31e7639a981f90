"""Stories: the same character from frame to frame, others kept apart, places that stay or change.

In the manner of ViStoryBench (arXiv:2505.24862): likeness of characters across frames, and whether
each frame's surroundings are what its shot says, which it inherited or changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.characters import SEEN
from evals.errors import EvaluationError
from evals.judge import load_classifier, load_judge
from evals.likeness import Chances, chances, same_character
from evals.metric import Metric
from evals.sample import Images, Sample
from evals.statistics import Scores
from evals.stories import Frame, pairs, stories, transitions

_LIKE = "cross-frame character similarity: ViStoryBench, arXiv:2505.24862"
_SCENE = "scene consistency: ViStoryBench, arXiv:2505.24862"
METRICS = (
    Metric("story/same_character", "higher", _LIKE, 0.03),
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
        return tuple(one for one in METRICS if all(_places(one.name)(story) for story in told))

    def samples(self, seed: int, size: int) -> list[Sample]:
        """One a frame; the picture is the storyboard's."""
        return [
            Sample(f"{frame.story} / {frame.name}", seed)
            for story in stories(Path(self.frames))
            for frame in story
        ]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """Likeness is the geometric mean, over looks, of the chance that two frames agree."""
        seen = chances(load_classifier(Path(self.eye)), pictures)
        read = load_judge(Path(self.judge))(pictures)
        found: dict[str, list[float]] = {metric.name: [] for metric in self.metrics}
        for number, story in enumerate(stories(Path(self.frames))):
            first = number * self.unit
            for name, means in found.items():
                scores = [_score(name, seen, read, story, first, at) for at in _places(name)(story)]
                means.append(float(np.mean(scores)))
        return {name: np.array(means, float) for name, means in found.items()}


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


def likeness(seen: Chances, i: int, j: int) -> float:
    """0 to 1."""
    a, b = ({look: part[k : k + 1] for look, part in seen.items()} for k in (i, j))
    return float(np.exp(same_character(a, b)[0, 0] / len(SEEN)))


def _places(metric: str) -> Places:
    kinds: dict[str, Places] = {
        "story/same_character": lambda frames: pairs(frames, same=True),
        "story/kept_apart": lambda frames: pairs(frames, same=False),
        "story/inherited": lambda frames: transitions(frames, changed=False),
        "story/changed": lambda frames: transitions(frames, changed=True),
    }
    return kinds[metric]
