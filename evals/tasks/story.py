"""Stories: the same character from frame to frame, others kept apart, places that stay or change.

In the manner of ViStoryBench (arXiv:2505.24862): likeness of characters across frames, and whether
each frame's surroundings are what its shot says, which it inherited or changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.characters import SEEN
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

    A score belongs to a pair of frames, or to a frame and a kind of surroundings.
    """

    frames: str
    judge: str
    eye: str

    unit = 1
    ceiling = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that these stories have enough to say about."""
        told = stories(Path(self.frames))
        counts = {metric.name: len(every(told, _places(metric.name))) for metric in METRICS}
        return tuple(metric for metric in METRICS if counts[metric.name] >= 10)

    def samples(self, seed: int, size: int) -> list[Sample]:
        """One a frame; the picture is the storyboard's."""
        return [
            Sample(f"{frame.story} / {frame.name}", seed)
            for story in stories(Path(self.frames))
            for frame in story
        ]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """Likeness is the geometric mean, over looks, of the chance that two frames agree."""
        told = stories(Path(self.frames))
        seen = chances(load_classifier(Path(self.eye)), pictures)
        read = load_judge(Path(self.judge))(pictures)
        promised = [frame.promised for story in told for frame in story]
        found = {}
        for metric in self.metrics:
            places = every(told, _places(metric.name))
            if metric.name in ("story/inherited", "story/changed"):
                hits = [read[str(kind)][i] == promised[i][str(kind)] for i, kind in places]
                found[metric.name] = np.array(hits, float)
            else:
                alike = np.array([likeness(seen, i, int(j)) for i, j in places])
                same = metric.name == "story/same_character"
                found[metric.name] = alike if same else 1 - alike
        return found


Places = Callable[[Sequence[Frame]], Sequence[tuple[int, int | str]]]


def every(told: Sequence[Sequence[Frame]], places: Places) -> list[tuple[int, int | str]]:
    """Places of all stories, frames counted through."""
    found, before = [], 0
    for story in told:
        for i, other in places(story):
            found.append((i + before, other + before if isinstance(other, int) else other))
        before += len(story)
    return found


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
