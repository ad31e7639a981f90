"""Controls: are the joints where the drawing has them, is near what the map says is near?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from evals.errors import EvaluationError
from evals.metric import Metric
from evals.pixels import as_pixels
from evals.sample import Image, Images, Sample
from evals.statistics import Scores
from luciole.data.controls import draw_pose
from luciole.models.estimator import CELL, ConditionEstimator, correct_joints, correlation
from luciole.storyworld import Picture, Scene, captions, render, sample_scene

PCK = Metric("control/pck", "higher", "PCK@0.1: Yang and Ramanan, TPAMI 2013", 0.03)
DEPTH = Metric("control/depth", "higher", "Pearson's correlation of depth maps", 0.02)
SHOTS = ("medium shot", "full shot")
_FIRST = 30_000_000


@dataclass(frozen=True)
class Control:
    """Held-out scenes of one person, drawn along their pose or depth.

    The estimator was trained on real renders alone. Prompts are short: they leave the pose open.
    """

    kind: Literal["pose", "depth"]
    prompts: int
    estimator: str

    unit = 1
    ceiling = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One for the kind."""
        if self.kind not in ("pose", "depth"):
            raise EvaluationError("control", f"{self.kind!r} is neither pose nor depth")
        return (PCK if self.kind == "pose" else DEPTH,)

    def samples(self, seed: int, size: int) -> list[Sample]:
        """With the drawing of the scene."""
        found = []
        for i, scene in enumerate(islice(_scenes(), self.prompts)):
            picture = render(scene, size, size)
            drawing = _drawing(picture, self.kind, size)
            words = captions(scene, seed)[3]
            found.append(Sample(words, seed + i, real=picture.image, controls={self.kind: drawing}))
        return found

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """Of each picture; joints weigh alike wherever they are, so their mean is PCK itself."""
        estimator = ConditionEstimator.load(Path(self.estimator))
        truths = [render(s, *pictures.shape[1:3]) for s in islice(_scenes(), self.prompts)]
        joints, nearness = _read(estimator, pictures)
        if self.kind == "depth":
            known = np.stack([truth.depth for truth in truths if truth.depth is not None])
            truth = avg_pool2d(torch.from_numpy(known)[:, None], CELL)[:, 0]
            return {DEPTH.name: correlation(nearness, truth).double().numpy()}
        people = torch.from_numpy(np.stack([truth.keypoints[0] for truth in truths]))
        right, counted = (part.sum(dim=1).double() for part in correct_joints(joints, people))
        return {PCK.name: (right / counted.mean()).numpy()}


def _scenes() -> Iterator[Scene]:
    """Held-out scenes with one person whose limbs can be seen."""
    scenes = (sample_scene(seed, "held_out") for seed in count_from(_FIRST))
    return (one for one in scenes if len(one.actors) == 1 and one.shot in SHOTS)


def _drawing(picture: Picture, kind: str, size: int) -> Image:
    if kind == "pose":
        return draw_pose(picture.keypoints, size, size)
    if picture.depth is None:
        raise EvaluationError("control", "the world drew no depth")
    grey = np.round(picture.depth * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _read(
    estimator: ConditionEstimator, pictures: Images, batch: int = 32
) -> tuple[Float[Tensor, "n 18 2"], Float[Tensor, "n h/4 w/4"]]:
    parts = [
        estimator.read(as_pixels(pictures[first : first + batch]))
        for first in range(0, len(pictures), batch)
    ]
    return torch.cat([one[0] for one in parts]), torch.cat([one[1] for one in parts])
