"""Vectors on disk by the hash of all that they were made from: a changed cause finds nothing."""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.bytes_]
_VALUES, _INDEX = ".values.npy", ".index.npy"
_ENTRY = np.dtype([("key", "S16"), ("offset", "<i8"), ("length", "<i8")])


def key_of(*causes: str | bytes) -> bytes:
    """16 bytes of SHA-256."""
    digest = hashlib.sha256()
    for cause in causes:
        data = cause.encode() if isinstance(cause, str) else cause
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()[:16]


class Store:
    """Packs of many vectors each, memory-mapped with their index; a pack is written whole or not.

    A pack's index is renamed into place after its values, so what has an index is complete.
    Several processes may write: packs of the same keys have the same name.
    """

    def __init__(self, folder: Path, dtype: Any, packs: Sequence[str] | None = None) -> None:
        self.folder, self._dtype = folder, np.dtype(dtype)
        self._names: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._indices: list[NDArray[Any]] = []
        self._values: list[NDArray[Any]] = []
        self._firsts = [0]
        there = sorted(file.name.removesuffix(_INDEX) for file in folder.glob(f"*{_INDEX}"))
        for name in there if packs is None else packs:
            self._open(name)

    def __len__(self) -> int:
        return self._firsts[-1]

    def __reduce__(self) -> tuple[type["Store"], tuple[Path, Any, list[str]]]:
        """Another process maps the same packs in the same order: slots stay what they are."""
        return Store, (self.folder, self._dtype, self._names)

    @property
    def keys(self) -> Keys:
        """Of all slots."""
        parts: list[Keys] = [index["key"] for index in self._indices]
        return np.concatenate([np.empty(0, "S16"), *parts])

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """The slot of each key; -1 where there is none."""
        if not len(self):
            return np.full(len(keys), -1)
        there = self.keys
        order = np.argsort(there, kind="stable")
        places = np.searchsorted(there, keys, sorter=order)
        slots = order[np.minimum(places, len(order) - 1)]
        return np.where(there[slots] == keys, slots, -1)

    def read(self, slot: int) -> NDArray[Any]:
        """One vector, still on disk."""
        pack = bisect_right(self._firsts, slot) - 1
        entry = self._indices[pack][slot - self._firsts[pack]]
        end = entry["offset"] + entry["length"]
        part: NDArray[Any] = self._values[pack][entry["offset"] : end]
        return part

    def add(self, keys: Sequence[bytes], vectors: Sequence[NDArray[Any]]) -> None:
        """One pack more; its slots follow those that are there."""
        lengths = np.array([vector.size for vector in vectors], np.int64)
        index = np.zeros(len(keys), _ENTRY)
        index["key"], index["length"] = keys, lengths
        index["offset"] = np.cumsum(lengths) - lengths
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:24]
        flat = np.concatenate([vector.ravel() for vector in vectors]).astype(self._dtype)
        _save(self.folder / f"{name}{_VALUES}", flat)
        _save(self.folder / f"{name}{_INDEX}", index)
        self._open(name)

    def _open(self, name: str) -> None:
        file = self.folder / f"{name}{_VALUES}"
        index = np.load(self.folder / f"{name}{_INDEX}", mmap_mode="r")
        values = np.load(file, mmap_mode="r")
        if values.dtype != self._dtype or len(values) != index["length"].sum():
            raise ValueError(f"{file}: not what its index says; remove both")
        self._indices.append(index)
        self._values.append(values)
        self._firsts.append(self._firsts[-1] + len(index))
        self._names.append(name)


def _save(file: Path, values: NDArray[Any]) -> None:
    part = file.with_suffix(f".{os.getpid()}.tmp")
    with part.open("wb") as out:
        np.save(out, values)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
