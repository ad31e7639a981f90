"""Scores of every checkpoint side by side: values, paired differences, and how sure they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evals.metric import Metric
from evals.statistics import Scores, different, holm, interval, samples_needed, wilson


@dataclass(frozen=True)
class Measured:
    """One metric's scores, sample by sample the same prompts and seeds for every checkpoint."""

    metric: Metric
    task: str
    scores: Mapping[str, Scores] = field(repr=False)
    ceiling: Scores | None = field(default=None, repr=False)
    """On the real renders of the same scenes: what the judge can see at all."""

    def difference(self, candidate: str) -> Scores:
        """Candidate less base; the base is the first."""
        found: Scores = self.scores[candidate] - next(iter(self.scores.values()))
        return found


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A candidate less the base. `needed` pairs would show a difference that matters."""

    value: float
    low: float
    high: float
    chance: float
    """Of so large a difference if there is none: the permutation test's."""
    corrected: float
    """The same, corrected for all metrics of the report (Holm)."""
    needed: float


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    metric: Metric
    task: str
    count: int
    estimates: Mapping[str, Estimate]
    differences: Mapping[str, Difference]
    ceiling: Estimate | None


def estimate(scores: Scores, confidence: float) -> Estimate:
    """Wilson's interval where scores are hits and misses, the BCa bootstrap's elsewhere."""
    value = float(scores.mean())
    if np.isin(scores, (0.0, 1.0)).all():
        return Estimate(value, *wilson(float(scores.sum()), len(scores), confidence))
    low, high = interval(scores, confidence)
    return Estimate(value, float(low), float(high))


def rows(measured: Sequence[Measured], confidence: float) -> list[Row]:
    """Every metric, in order."""
    pairs = [(one, name) for one in measured for name in list(one.scores)[1:]]
    chances = [float(different(one.difference(name))) for one, name in pairs]
    corrected = dict(zip([(p.metric.name, n) for p, n in pairs], holm(chances), strict=True))
    raw = dict(zip([(p.metric.name, n) for p, n in pairs], chances, strict=True))
    return [
        Row(
            metric=one.metric,
            task=one.task,
            count=len(next(iter(one.scores.values()))),
            estimates={name: estimate(s, confidence) for name, s in one.scores.items()},
            differences={
                name: _difference(
                    one,
                    name,
                    confidence,
                    raw[one.metric.name, name],
                    corrected[one.metric.name, name],
                )
                for name in list(one.scores)[1:]
            },
            ceiling=None if one.ceiling is None else estimate(one.ceiling, confidence),
        )
        for one in measured
    ]


def _difference(
    one: Measured, name: str, confidence: float, chance: float, corrected: float
) -> Difference:
    values = one.difference(name)
    low, high = interval(values, confidence)
    needed = samples_needed(float(values.std(ddof=1)), one.metric.matters, confidence)
    return Difference(float(values.mean()), float(low), float(high), chance, corrected, needed)
