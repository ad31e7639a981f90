"""Up to millions of directions in cells: a sketch of each is searched, and codes choose among them.

Cells whose centres are near the question are looked into (an inverted file, arXiv:1702.08734).
There every vector has one bit a dimension (RaBitQ, arXiv:2405.12497), by which many are compared
at once, and eight bits a dimension, by which the most promising are put in order.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import faiss
import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

Directions = Float32[np.ndarray, "n d"]
Direction = Float32[np.ndarray, "d"]
Names = Int64[np.ndarray, "n"]
SAMPLES_A_CELL = 32
PROBES = 384
"""Cells that are looked into. What is missed lies in other cells: of a million vectors in 4096
cells, 80 hold 0.97 of the ten nearest, 256 hold 0.99, 384 hold 0.993 and 512 hold 0.996."""
SKETCHED = 10
"""So many times as many as are wanted, and at least `LEAST`, are taken by one bit a dimension."""
LEAST = 100
_HASHED = 2  # faiss.DirectMap.Hashtable: lets codes be read back by name
_MAPPED = 32
"""Bytes of a name in that table beyond those that are written to a file."""
_BLOCK = 32  # vectors that are compared at once


class Cells:
    """Vectors of length 1 by name; all are turned first, so that every dimension says as much."""

    def __init__(self, turn: Float32[np.ndarray, "d d"], codes: Any, sketches: Any) -> None:
        self._turn, self._codes, self._sketches = turn, codes, sketches

    @classmethod
    def made(cls, sample: Directions, count: int) -> Self:
        """So many empty cells around centres of the sample."""
        dimension = sample.shape[1]
        chance = np.random.default_rng(0)
        turn = np.linalg.qr(chance.standard_normal((dimension, dimension)))[0].astype(np.float32)
        centres = faiss.IndexFlatIP(dimension)
        kind = faiss.METRIC_INNER_PRODUCT
        eight = faiss.ScalarQuantizer.QT_8bit
        codes = faiss.IndexIVFScalarQuantizer(centres, dimension, count, eight, kind, True)
        codes.cp.niter, codes.cp.min_points_per_centroid = 8, 1
        chosen = chance.permutation(len(sample))[: count * SAMPLES_A_CELL]
        turned = sample[chosen] @ turn
        codes.train(turned)
        codes.set_direct_map_type(_HASHED)
        sketches = faiss.IndexIVFRaBitQFastScan(centres, dimension, count, kind, _BLOCK)
        sketches.train(turned)
        sketches.nprobe = min(count, PROBES)
        return cls(turn, codes, sketches)

    @property
    def nbytes(self) -> int:
        """Memory of all of it."""
        held = sum(part.nbytes for part in self.packed().values())
        return held + _MAPPED * int(self._codes.ntotal)

    def add(self, names: Names, directions: Directions) -> None:
        """Names that are not there yet."""
        turned = directions @ self._turn
        for index in (self._codes, self._sketches):
            index.add_with_ids(turned, np.ascontiguousarray(names))

    def remove(self, names: Names) -> None:
        """Names that are there."""
        for index in (self._codes, self._sketches):
            index.remove_ids(np.ascontiguousarray(names))

    def nearest(self, asked: Direction, count: int) -> Names:
        """The names of about the `count` nearest, the nearest first."""
        turned = asked @ self._turn
        most = min(max(SKETCHED * count, LEAST), self._codes.ntotal) or 1
        names: Names = self._sketches.search(turned[None], most)[1][0]
        names = names[names >= 0]
        cosines = self._codes.reconstruct_batch(names) @ turned
        return names[np.argsort(-cosines, kind="stable")[:count]]

    def directions(self, names: Names) -> Directions:
        """As their eight bits a dimension have them."""
        rows: Directions = self._codes.reconstruct_batch(np.ascontiguousarray(names)) @ self._turn.T
        return rows

    def packed(self) -> dict[str, NDArray[Any]]:
        """What `unpacked` makes the same of."""
        codes, sketches = map(faiss.serialize_index, (self._codes, self._sketches))
        return {"turn": self._turn, "codes": codes, "sketches": sketches}

    @classmethod
    def unpacked(cls, held: Mapping[str, NDArray[Any]]) -> Self:
        """KeyError or RuntimeError where something is missing or damaged."""
        codes, sketches = (faiss.deserialize_index(held[name]) for name in ("codes", "sketches"))
        return cls(held["turn"], codes, sketches)


def cells_for(expected: int) -> int:
    """For so many vectors: a power of two near four times their root."""
    return 1 << round(math.log2(4 * math.sqrt(max(expected, 1))))
