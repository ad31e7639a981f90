"""How sure one can be: shares, paired differences, several claims at once, and how many to draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
RESAMPLES = 4000
FLIPS = 9999
EXACT = 13
"""Up to so many differences every way to flip their signs is tried."""
FEWEST = 10
"""Fewer scores say too little of how they spread."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Share:
    """`hits` of `count`, with Wilson's 95 % score interval (Wilson 1927)."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        """Between 0 and 1."""
        return self.hits / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end of the 95 % interval."""
        return wilson(self.hits, self.count, 0.95)

    def as_json(self) -> dict[str, float | int]:
        """For reports."""
        low, high = self.interval
        return {
            "value": round(self.value, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "hits": self.hits,
            "count": self.count,
        }


def wilson(hits: float, count: int, confidence: float) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927)."""
    z, n, p = _NORMAL.inv_cdf(0.5 + confidence / 2), count, hits / count
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (max(0.0, middle - half), min(1.0, middle + half))


def interval(
    values: Scores, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Scores, Scores]:
    """Low and high end for the mean of each row of `values` [..., n]: the BCa bootstrap.

    Percentiles of resampled means, corrected for bias and skew (Efron 1987). All rows share their
    resamples. Where all values are equal both ends are that value.
    """
    rows = np.atleast_2d(values)
    count = rows.shape[1]
    chosen = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    means = np.sort(rows @ chosen.T.astype(np.float64) / count, axis=1)
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = (centred**2).sum(axis=1)
    flat = spread <= 1e-24 * count * (1 + rows.mean(axis=1) ** 2)
    spread = np.where(flat, 1.0, spread)
    skew = (centred**3).sum(axis=1) / (6 * spread**1.5)
    middle = rows.mean(axis=1, keepdims=True)
    below = ((means < middle).sum(axis=1) + (means <= middle).sum(axis=1)) / (2 * resamples)
    bias = _quantiles(np.clip(below, 1 / resamples, 1 - 1 / resamples))
    ends = [
        np.where(flat, middle[:, 0], _percentile(means, bias, skew, tail))
        for tail in ((1 - confidence) / 2, (1 + confidence) / 2)
    ]
    return ends[0].reshape(values.shape[:-1]), ends[1].reshape(values.shape[:-1])


def _percentile(means: Scores, bias: Scores, skew: Scores, tail: float) -> Scores:
    """Of each row of sorted means, where BCa puts this tail."""
    moved = bias + _NORMAL.inv_cdf(tail)
    place = bias + moved / np.maximum(1 - skew * moved, 1e-3)
    share = np.array([_NORMAL.cdf(one) for one in place])
    index = np.clip(np.rint(share * (means.shape[1] - 1)).astype(int), 0, means.shape[1] - 1)
    found: Scores = means[np.arange(len(means)), index]
    return found


def _quantiles(shares: Scores) -> Scores:
    return np.array([_NORMAL.inv_cdf(share) for share in shares])


def flipped(values: Scores, flips: int = FLIPS, seed: int = 0) -> tuple[Scores, Scores]:
    """One-sided p-values that the mean of each row [..., n] is above 0, and that it is below.

    The paired permutation test: with no difference, base and candidate could have been swapped in
    any pair, which flips the sign of its difference (Fisher 1935; Phipson and Smyth 2010 for the
    count of the observed arrangement itself).
    """
    rows = np.atleast_2d(values)
    count = rows.shape[1]
    sums = rows @ _signs(count, flips, seed).T
    seen = rows.sum(axis=1, keepdims=True)
    slack = 1e-9 * np.abs(rows).sum(axis=1, keepdims=True)
    above, below = (sums >= seen - slack).mean(axis=1), (sums <= seen + slack).mean(axis=1)
    return above.reshape(values.shape[:-1]), below.reshape(values.shape[:-1])


@lru_cache(maxsize=2)
def _signs(count: int, flips: int, seed: int) -> Scores:
    """Ways to flip, the observed one among them: all of them, or so many drawn ones."""
    if count <= EXACT:
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return 1.0 - 2.0 * bits.astype(np.float64)
    drawn = np.random.default_rng(seed).integers(0, 2, (flips, count), dtype=np.int8)
    return np.concatenate([np.ones((1, count)), 1.0 - 2.0 * drawn])


def different(values: Scores) -> Scores:
    """Two-sided p-values that the mean of each row is not 0."""
    chances: Scores = np.minimum(1.0, 2 * np.minimum(*flipped(values)))
    return chances


def holm(chances: Sequence[float]) -> list[float]:
    """P-values corrected so that all of them together err no more often than one (Holm 1979)."""
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    corrected, least = [1.0] * len(chances), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(chances) - rank) * chances[i]))
        corrected[i] = least
    return corrected


def samples_needed(
    spread: float, difference: float, confidence: float = 0.95, power: float = 0.8
) -> float:
    """How many pairs show a difference, one-sided, so often as `power` says; inf for none.

    `spread` is the standard deviation of the paired differences.
    """
    if difference == 0:
        return inf
    z = _NORMAL.inv_cdf(confidence) + _NORMAL.inv_cdf(power)
    return float(max(FEWEST, ceil((z * spread / difference) ** 2)))
