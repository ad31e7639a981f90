"""The nearest of up to millions of directions, in a quarter of their memory."""

import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from luciole.domain import LucioleError

Directions = Float32[np.ndarray, "n d"]
Direction = Float32[np.ndarray, "d"]
Names = Int64[np.ndarray, "n"]
Exact = Callable[[Names], Directions]
"""Looks the true vectors up where they are kept, in order; zeros for one that is gone."""
AMONG = 3
EXACT = 20_000
"""Up to here every vector is compared; beyond, only those of the nearest cells."""
GROWTH = 4
"""A grown index keeps its cells until it is this many times larger than when they were made."""
_PROBES = 80
"""Cells that are looked into; what decides is how many cells, not what share of them, for a family
of look-alikes lies in few. Of a million in 4096 cells 48 find 0.97 of the ten nearest, 80 find
0.98, 128 find 0.986 and 192 find 0.989; with 80 a search takes a 24th of flat search's time."""
_SAMPLES_A_CELL = 32
_FORMAT = 1
_HASHED = 2  # faiss.DirectMap.Hashtable: lets vectors be read back by name


class IndexDamaged(LucioleError):
    """The file is no index of this version; it can be made again from the vectors."""

    code = "corrupt_index"


class Neighbours:
    """Vectors of length 1 under whole numbers; similarity is their cosine.

    Beyond `EXACT` vectors an inverted file (arXiv:1702.08734) whose cells hold each vector's
    distance from the cell's centre in 8 bits a dimension. Every vector has a version, so that the
    index can be brought up to date by what changed.
    """

    def __init__(self, dimension: int, expected: int = 0) -> None:
        self.dimension = dimension
        self._expected, self._trained_at = expected, 0
        self._names = np.empty(0, np.int64)
        self._versions = np.empty(0, np.int64)
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))

    def __len__(self) -> int:
        return len(self._names)

    @property
    def nbytes(self) -> int:
        """Memory of the vectors, their names, and of what finds them."""
        held = int(faiss.serialize_index(self._index).nbytes)
        return held + self._names.nbytes + self._versions.nbytes

    @property
    def names(self) -> Names:
        """All of them, the lowest first."""
        return self._names

    @property
    def versions(self) -> Names:
        """Of each of `names`."""
        return self._versions

    def add(self, names: Names, directions: Directions, versions: Names) -> None:
        """Add, or replace those whose name is there."""
        self.remove(names)
        total = len(self) + len(names)
        if total > max(EXACT, GROWTH * self._trained_at) and total >= self._sample:
            self._partition(max(total, self._expected), directions)
        self._index.add_with_ids(_unit(directions), np.ascontiguousarray(names))
        every = np.concatenate([self._names, names])
        order = np.argsort(every, kind="stable")
        self._names = every[order]
        self._versions = np.concatenate([self._versions, versions])[order]

    def remove(self, names: Names) -> None:
        """Take out whichever are there; the vectors are gone from memory too."""
        gone = np.isin(self._names, names)
        if gone.any():
            self._index.remove_ids(np.ascontiguousarray(self._names[gone]))
            self._names, self._versions = self._names[~gone], self._versions[~gone]

    def search(self, direction: Direction, count: int, exact: Exact) -> list[tuple[int, float]]:
        """The `count` nearest with their cosines, the nearest first.

        8 bits choose `AMONG` times as many, and `exact` tells their true directions; who has none
        any more is left out.
        """
        asked = _unit(direction[None])
        names = self._index.search(asked, min(AMONG * count, len(self)) or 1)[1][0]
        names = names[names >= 0]
        cosines = _unit(exact(names)) @ asked[0]
        best = np.argsort(-cosines, kind="stable")[:count]
        return [(int(names[i]), float(cosines[i])) for i in best if cosines[i] != 0]

    def save(self, file: Path, facts: Mapping[str, str]) -> None:
        """Write one file whole or not at all; `facts` come back from `open`."""
        held = io.BytesIO()
        np.savez(
            held,
            index=faiss.serialize_index(self._index),
            names=self._names,
            versions=self._versions,
            facts=np.frombuffer(self._header(facts), np.uint8),
        )
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(held.getbuffer())
        part.replace(file)

    @classmethod
    def open(cls, file: Path) -> tuple[Self, dict[str, str]]:
        """An index and its facts; IndexDamaged or FileNotFoundError."""
        try:
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
                header = json.loads(held["facts"].tobytes())
                if header["format"] != _FORMAT:
                    raise IndexDamaged(file.name, f"has format {header['format']}")
                made = cls(header["dimension"])
                made._index = faiss.deserialize_index(held["index"])
                made._names, made._versions = held["names"], held["versions"]
                made._trained_at = header["trained_at"]
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, RuntimeError, EOFError, BadZipFile) as error:
            raise IndexDamaged(file.name, "cannot be read; it is made again") from error
        return made, header["facts"]

    def _header(self, facts: Mapping[str, str]) -> bytes:
        said = {"format": _FORMAT, "dimension": self.dimension, "trained_at": self._trained_at}
        return json.dumps(said | {"facts": dict(facts)}).encode()

    @property
    def _sample(self) -> int:
        """So many are waited for before cells are made, where more are expected.

        Cells that were made of few families of look-alikes fit the others badly: of a million
        vectors, those of the first 50,000 found 0.95 of the nearest.
        """
        return min(self._expected, _SAMPLES_A_CELL * _cells(self._expected))

    def _partition(self, expected: int, coming: Directions) -> None:
        """Make cells for so many vectors, from those that are here and those that come."""
        here, cells = self._all(), _cells(expected)
        quantizer = faiss.IndexFlatIP(self.dimension)
        index = faiss.IndexIVFScalarQuantizer(
            quantizer,
            self.dimension,
            cells,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
            True,  # codes are relative to the cell's centre
        )
        index.cp.niter, index.cp.min_points_per_centroid = 8, 1
        sample = np.concatenate([here, _unit(coming)])
        chosen = np.random.default_rng(0).permutation(len(sample))[: cells * _SAMPLES_A_CELL]
        index.train(np.ascontiguousarray(sample[chosen]))
        index.nprobe = min(cells, _PROBES)
        if len(here):
            index.add_with_ids(here, self._names)
        self._index, self._trained_at = index, expected

    def _all(self) -> Directions:
        """What is here, in the order of the names."""
        if not len(self):
            return np.empty((0, self.dimension), np.float32)
        if isinstance(self._index, faiss.IndexIVF):
            self._index.set_direct_map_type(_HASHED)
        rows: Directions = self._index.reconstruct_batch(self._names)
        return rows


def _cells(expected: int) -> int:
    """For so many vectors: a power of two near four times their root."""
    return 1 << round(math.log2(4 * math.sqrt(max(expected, 1))))


def _unit(directions: Directions) -> Directions:
    """Rows of length 1; zeros stay."""
    rows = np.ascontiguousarray(directions, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
