"""How far styles get in each other's way, told from their matrices before anything is drawn.

A layer's change is `up @ down`: it reads what lies in the rows of `down` and writes what lies in
the columns of `up`. Two changes interfere where one reads what the other reads and writes what the
other writes. For rank 1 the overlap is the absolute cosine of the two changes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict

from luciole.engines.bank import Factors, Style
from serving.orchestration.styles.blocks import block_of

NOTICED, STRONG = 0.1, 0.3
"""From these scores beyond chance on, a pair is said to be noticed or strong."""
_TINY = 1e-12


class Verdict(StrEnum):
    """What to expect of a pair."""

    APART = "apart"
    NOTICED = "noticed"
    STRONG = "strong"


class Interference(BaseModel):
    """Of two styles, 0 to 1 but for `agreement`.

    `score` is 1 for a style with itself and 0 where nothing is shared; two random styles of these
    ranks would have `chance`. `agreement` is the cosine of the whole changes: 1 where they push
    alike and add up, -1 where they cancel. `blocks` are the scores within each block.
    """

    model_config = ConfigDict(frozen=True)

    first: str
    second: str
    score: float
    chance: float
    agreement: float
    verdict: Verdict
    blocks: dict[str, float]


@dataclass(frozen=True)
class _Change:
    """A layer's change as `writes @ core @ reads.T`, both bases orthonormal."""

    reads: Float64[np.ndarray, "inputs rank"]
    writes: Float64[np.ndarray, "outputs rank"]
    core: Float64[np.ndarray, "rank rank"]

    @property
    def energy(self) -> float:
        """The square of its Frobenius norm."""
        return float((self.core**2).sum())


class Shape:
    """A style taken apart once, to be compared with many."""

    def __init__(self, style: Style) -> None:
        self._changes = {path: _taken_apart(factors) for path, factors in style.items()}

    def scaled(self, weight: Mapping[str, float]) -> "Shape":
        """With its layers' changes times these weights, 1 where none is given."""
        other = Shape({})
        other._changes = {
            path: _Change(one.reads, one.writes, one.core * weight.get(path, 1.0))
            for path, one in self._changes.items()
        }
        return other

    def compare(self, other: "Shape") -> tuple[float, float, float, dict[str, float]]:
        """Score, chance, agreement, and the score of each block."""
        pairs = {
            path: _Pair.of(one, other._changes[path])
            for path, one in self._changes.items()
            if path in other._changes
        }
        whole = _norms(self._changes.values()) * _norms(other._changes.values())
        blocks: dict[str, float] = {}
        for block in dict.fromkeys(map(block_of, pairs)):
            inside = [pair for path, pair in pairs.items() if block_of(path) == block]
            norm = self._within(block) * other._within(block)
            blocks[block] = _share(sum(p.size * p.overlap for p in inside), norm)
        return (
            _share(sum(pair.size * pair.overlap for pair in pairs.values()), whole),
            _share(sum(pair.size * pair.chance for pair in pairs.values()), whole),
            _share(sum(pair.product for pair in pairs.values()), whole),
            blocks,
        )

    def _within(self, block: str) -> float:
        return _norms([one for path, one in self._changes.items() if block_of(path) == block])


@dataclass(frozen=True)
class _Pair:
    """Two changes of one layer: the product of their sizes, and how they lie."""

    size: float
    overlap: float
    chance: float
    product: float

    @classmethod
    def of(cls, one: _Change, other: _Change) -> "_Pair":
        """`overlap` is the root of what is shared in reading and in writing, by energy."""
        reads, writes = one.reads.T @ other.reads, one.writes.T @ other.writes
        shared = [
            _portion(one.core @ reads, one.energy),
            _portion(other.core @ reads.T, other.energy),
            _portion(one.core.T @ writes, one.energy),
            _portion(other.core.T @ writes.T, other.energy),
        ]
        read, written = (shared[0] + shared[1]) / 2, (shared[2] + shared[3]) / 2
        # Random subspaces of ranks r and s in n dimensions share min(1, s / n) and min(1, r / n).
        by_chance = [
            (min(1, a.shape[1] / a.shape[0]) + min(1, b.shape[1] / b.shape[0])) / 2
            for a, b in ((one.reads, other.reads), (one.writes, other.writes))
        ]
        return cls(
            size=float(np.sqrt(one.energy * other.energy)),
            overlap=float(np.sqrt(read * written)),
            chance=float(np.sqrt(by_chance[0] * by_chance[1])),
            product=float((one.core * (writes @ other.core @ reads.T)).sum()),
        )


def interference(styles: Mapping[str, Shape]) -> list[Interference]:
    """Of every pair, the strongest first."""
    found = [_judged(first, second, styles) for first, second in combinations(styles, 2)]
    return sorted(found, key=lambda pair: pair.score, reverse=True)


def _judged(first: str, second: str, styles: Mapping[str, Shape]) -> Interference:
    score, chance, agreement, blocks = styles[first].compare(styles[second])
    beyond = (score - chance) / (1 - chance) if chance < 1 else score
    verdict = Verdict.APART
    if beyond >= NOTICED:
        verdict = Verdict.STRONG if beyond >= STRONG else Verdict.NOTICED
    return Interference(
        first=first,
        second=second,
        score=score,
        chance=chance,
        agreement=agreement,
        verdict=verdict,
        blocks=blocks,
    )


def _taken_apart(factors: Factors) -> _Change:
    reads, right = np.linalg.qr(factors.down.astype(np.float64).T)
    writes, left = np.linalg.qr(factors.up.astype(np.float64))
    return _Change(reads, writes, left @ right.T)


def _portion(part: Float64[np.ndarray, "rank other"], energy: float) -> float:
    return min(1.0, float((part**2).sum()) / energy) if energy > _TINY else 0.0


def _norms(changes: Iterable[_Change]) -> float:
    return float(np.sqrt(sum(one.energy for one in changes)))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > _TINY else 0.0
