"""What a metric is: a name, a direction, where it comes from, and one number a sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evals.errors import EvaluationError
from evals.statistics import Scores


@dataclass(frozen=True)
class Metric:
    """The mean of its scores is its value; `paper` says where it is defined.

    `matters` is the smallest difference that anybody would care about: the margin of "does not
    fall", and what the report says how many prompts would show.
    """

    name: str
    better: Literal["higher", "lower"]
    paper: str
    matters: float
    share: bool = False
    """Whether it is a part of 1, shown in per cent."""

    def shown(self, value: float, sign: bool = False) -> str:
        """For people."""
        if self.share:
            return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"
        return f"{value:+.4g}" if sign else f"{value:.4g}"


def checked(found: Mapping[str, Scores], count: int, whose: str) -> dict[str, Scores]:
    """The scores of one task and checkpoint; EvaluationError names a metric that has no number."""
    for name, scores in found.items():
        if scores.shape != (count,):
            raise EvaluationError(name, f"{whose} has {scores.shape} scores, not ({count},)")
        if not np.isfinite(scores).all():
            first = int(np.argmin(np.isfinite(scores)))
            words = f"{whose} got {scores[first]} for sample {first}; nothing is reported"
            raise EvaluationError(name, words)
    return dict(found)
