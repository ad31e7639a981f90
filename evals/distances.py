"""How far drawn pictures are from real ones, as one number with a score for each prompt.

Row i of both sets belongs to prompt i. A score is the distance plus the prompt's influence on it
(the infinitesimal jackknife, Efron 1982, chapter 6), so the mean of the scores is the distance and
their spread is its uncertainty.
"""

import numpy as np
from jaxtyping import Float

from evals.statistics import Scores

Features = Float[np.ndarray, "n d"]


def frechet(drawn: Features, real: Features) -> Scores:
    """FID (arXiv:1706.08500, eq. 6) over any features, exact where there are fewer than dimensions.

    tr((S₁S₂)^½) is the nuclear norm of X·Yᵀ/n for the centred features X and Y; what a sample adds
    to it is read from the same singular vectors.
    """
    n = len(drawn)
    apart = drawn.mean(axis=0) - real.mean(axis=0)
    x, y = drawn - drawn.mean(axis=0), real - real.mean(axis=0)
    left, values, right = np.linalg.svd(x @ y.T / n)
    cross = values.sum()
    spread = (x**2).sum(axis=1) + (y**2).sum(axis=1)
    value = apart @ apart + spread.mean() - 2 * cross
    shared = n * ((left**2) @ values + (right.T**2) @ values)
    scores: Scores = value + 2 * (x - y) @ apart + (spread - spread.mean()) - (shared - 2 * cross)
    return scores


def kernel_distance(drawn: Features, real: Features) -> Scores:
    """KID (arXiv:1801.01401, section 4): unbiased MMD² with the kernel (x·y/d + 1)³."""
    width = drawn.shape[1]

    def kernel(a: Features, b: Features) -> Features:
        product: Features = (a @ b.T / width + 1) ** 3
        return product

    n = len(drawn)
    within = [kernel(one, one) for one in (drawn, real)]
    alone = [(k.sum(axis=1) - np.diag(k)) / (n - 1) for k in within]
    return _squared(alone[0], alone[1], kernel(drawn, real))


def clip_distance(drawn: Features, real: Features, sigma: float = 10.0) -> Scores:
    """CMMD (arXiv:2401.09603, eq. 4): 1000 · MMD² of unit vectors with a Gaussian kernel.

    The estimator is the one of its authors' code, which keeps the diagonals.
    """
    x, y = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (drawn, real))

    def kernel(a: Features, b: Features) -> Features:
        squares = 2 - 2 * a @ b.T
        values: Features = np.exp(-squares / (2 * sigma**2))
        return values

    alone = [kernel(one, one).mean(axis=1) for one in (x, y)]
    scores: Scores = 1000 * _squared(alone[0], alone[1], kernel(x, y))
    return scores


def _squared(x: Scores, y: Scores, between: Features) -> Scores:
    """MMD² and its influences, from each sample's mean kernel with its own set and with both."""
    here, there = between.mean(axis=1), between.mean(axis=0)
    value = float(x.mean() + y.mean() - 2 * between.mean())
    pull = _centred(x) + _centred(y) - _centred(here) - _centred(there)
    return np.asarray(value + 2 * pull)


def _centred(values: Scores) -> Scores:
    found: Scores = values - values.mean()
    return found


def precision(drawn: Features, real: Features, nearest: int = 3) -> Scores:
    """Whether each drawn picture lies among real ones (arXiv:1904.06991, eq. 1 and 2)."""
    return _inside(drawn, real, nearest)


def recall(drawn: Features, real: Features, nearest: int = 3) -> Scores:
    """Whether each real picture lies among drawn ones (arXiv:1904.06991, eq. 1 and 2)."""
    return _inside(real, drawn, nearest)


def _inside(points: Features, manifold: Features, nearest: int) -> Scores:
    """1 where a point is within the distance of a manifold's member to its k-th neighbour."""
    own = np.sort(apart(manifold, manifold), axis=1)[:, nearest]
    found: Scores = np.any(apart(points, manifold) <= own, axis=1).astype(np.float64)
    return found


def apart(a: Features, b: Features) -> Features:
    """Euclidean distances."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    root: Features = np.sqrt(np.maximum(squares, 0))
    return root


def vendi(features: Float[np.ndarray, "prompt seed d"]) -> Scores:
    """How many different pictures the seeds of a prompt give: the Vendi score of their cosines.

    arXiv:2210.02410, definition 1: from 1 (all alike) to the number of seeds (nothing in common).
    """
    units = features / np.linalg.norm(features, axis=2, keepdims=True)
    alike = units @ units.transpose(0, 2, 1) / features.shape[1]
    shares = np.clip(np.linalg.eigvalsh(alike), 0, None)
    shares = shares / shares.sum(axis=1, keepdims=True)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 1e-12)
    scores: Scores = np.exp(-(shares * logs).sum(axis=1))
    return scores
