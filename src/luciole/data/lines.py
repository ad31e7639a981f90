"""JSON lines by number, memory-mapped: eight bytes a line are kept, the rest stays on disk."""

import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np


class JsonLines(Sequence[dict[str, Any]]):
    """The first `count` lines of some files, each read when it is asked for."""

    def __init__(self, files: Sequence[Path], count: int) -> None:
        self._files = list(files)
        self._texts = [_mapped(file) for file in files]
        ends = [_ends(text) for text in self._texts]
        self._ends = np.concatenate(ends)[:count]
        self._firsts = np.cumsum([0, *map(len, ends)])

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, line: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, line: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, line: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(line, slice):
            return [self[one] for one in range(len(self))[line]]
        line = range(len(self))[line]
        file = int(np.searchsorted(self._firsts, line, side="right")) - 1
        start = 0 if line == self._firsts[file] else int(self._ends[line - 1]) + 1
        found: dict[str, Any] = json.loads(self._texts[file][start : int(self._ends[line])])
        return found

    def __reduce__(self) -> tuple[type["JsonLines"], tuple[list[Path], int]]:
        """Another process maps the files anew."""
        return JsonLines, (self._files, len(self))


def _mapped(file: Path) -> mmap.mmap:
    with file.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _ends(text: mmap.mmap) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where the line breaks are; every line has one."""
    return np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")).astype(np.int64)
