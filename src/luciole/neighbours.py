"""The nearest of up to millions of directions, in less than a third of their memory."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import faiss
import numpy as np
from numpy.typing import NDArray

from luciole.cells import SAMPLES_A_CELL, Cells, Direction, Directions, Names, cells_for
from luciole.domain import LucioleError

__all__ = ["Direction", "Directions", "Exact", "IndexDamaged", "Names", "Neighbours"]

Exact = Callable[[Names], Directions]
"""Looks the true vectors up where they are kept, in order; zeros for one that is gone."""
AMONG = 3
EXACT = 20_000
"""Up to here every vector is compared; beyond, only those of the nearest cells."""
GROWTH = 4
"""A grown index keeps its cells until it is this many times larger than when they were made."""
_FORMAT = 2


class IndexDamaged(LucioleError):
    """The file is no index of this version; it can be made again from the vectors."""

    code = "corrupt_index"


class Neighbours:
    """Vectors of length 1 under whole numbers; similarity is their cosine.

    Beyond `EXACT` vectors they lie in cells. Every vector has a version, so that the index can be
    brought up to date by what changed.
    """

    def __init__(self, dimension: int, expected: int = 0) -> None:
        self.dimension = dimension
        self._expected, self._trained_at = expected, 0
        self._names = np.empty(0, np.int64)
        self._versions = np.empty(0, np.int64)
        self._flat: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self._cells: Cells | None = None

    def __len__(self) -> int:
        return len(self._names)

    @property
    def nbytes(self) -> int:
        """Memory of the vectors, their names, and of what finds them."""
        cells = 0 if self._cells is None else self._cells.nbytes
        flat = int(faiss.serialize_index(self._flat).nbytes)
        return flat + cells + self._names.nbytes + self._versions.nbytes

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
        self._put(names, _unit(directions))
        every = np.concatenate([self._names, names])
        order = np.argsort(every, kind="stable")
        self._names = every[order]
        self._versions = np.concatenate([self._versions, versions])[order]

    def remove(self, names: Names) -> None:
        """Take out whichever are there; the vectors are gone from memory too."""
        gone = np.isin(self._names, names)
        if gone.any():
            lost = np.ascontiguousarray(self._names[gone])
            self._flat.remove_ids(lost) if self._cells is None else self._cells.remove(lost)
            self._names, self._versions = self._names[~gone], self._versions[~gone]

    def search(self, direction: Direction, count: int, exact: Exact) -> list[tuple[int, float]]:
        """The `count` nearest with their cosines, the nearest first.

        Codes choose `AMONG` times as many, and `exact` tells their true directions; who has none
        any more is left out.
        """
        asked = _unit(direction[None])[0]
        names = self._likely(asked, min(AMONG * count, len(self)) or 1)
        cosines = _unit(exact(names)) @ asked
        best = np.argsort(-cosines, kind="stable")[:count]
        return [(int(names[i]), float(cosines[i])) for i in best if cosines[i] != 0]

    def save(self, file: Path, facts: Mapping[str, str]) -> None:
        """Write one file whole or not at all; `facts` come back from `open`."""
        held = io.BytesIO()
        arrays: dict[str, Any] = {
            **self._packed(),
            "names": self._names,
            "versions": self._versions,
            "facts": np.frombuffer(self._header(facts), np.uint8),
        }
        np.savez(held, **arrays)
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
                if "flat" in held:
                    made._flat = faiss.deserialize_index(held["flat"])
                else:
                    made._cells = Cells.unpacked(held)
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
        return min(self._expected, SAMPLES_A_CELL * cells_for(self._expected))

    def _partition(self, expected: int, coming: Directions) -> None:
        """Make cells for so many vectors, from those that are here and those that come."""
        here = self._all()
        self._cells = Cells.made(np.concatenate([here, _unit(coming)]), cells_for(expected))
        if len(here):
            self._cells.add(self._names, here)
        self._flat.reset()
        self._trained_at = expected

    def _all(self) -> Directions:
        """What is here, in the order of the names."""
        if not len(self):
            return np.empty((0, self.dimension), np.float32)
        if self._cells is not None:
            return self._cells.directions(self._names)
        rows: Directions = self._flat.reconstruct_batch(self._names)
        return rows

    def _put(self, names: Names, directions: Directions) -> None:
        if self._cells is not None:
            self._cells.add(names, directions)
        else:
            self._flat.add_with_ids(directions, np.ascontiguousarray(names))

    def _likely(self, asked: Direction, count: int) -> Names:
        """About the nearest, the nearest first."""
        if self._cells is not None:
            return self._cells.nearest(asked, count)
        names: Names = self._flat.search(asked[None], count)[1][0]
        return names[names >= 0]

    def _packed(self) -> dict[str, NDArray[Any]]:
        if self._cells is not None:
            return self._cells.packed()
        return {"flat": faiss.serialize_index(self._flat)}


def _unit(directions: Directions) -> Directions:
    """Rows of length 1; zeros stay."""
    rows = np.ascontiguousarray(directions, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
