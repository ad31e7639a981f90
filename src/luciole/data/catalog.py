"""What is known of each picture of a set, in memory-mapped columns: a row costs no memory."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int32
from numpy.typing import NDArray

from luciole.data.records import Record

CHUNK = 16384
"""Rows that are written at a time."""
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("licence", pa.string()),
        ("extra", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("content", pa.binary(16)),
    ]
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record whose picture was looked at: its upright size in pixels and its bytes' hash."""

    record: Record
    height: int
    width: int
    content: bytes


class Catalog:
    """An Arrow file, mapped; rows in the order in which they were written."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with pa.memory_map(str(file)) as source:
            table = pa.ipc.open_file(source).read_all()
        self._count: int = table.num_rows
        self._columns = {name: table.column(name).chunks for name in table.column_names}

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[type["Catalog"], tuple[Path]]:
        """Another process maps the file anew."""
        return Catalog, (self._file,)

    def value(self, column: str, row: int) -> Any:
        """One cell, as Python's."""
        chunk, place = divmod(row, CHUNK)
        return self._columns[column][chunk][place].as_py()

    def other(self, row: int) -> dict[str, Any]:
        """The fields that have no column of their own."""
        fields: dict[str, Any] = json.loads(self.value("extra", row))
        return fields

    def sizes(self) -> Int32[np.ndarray, "n 2"]:
        """Height and width of all rows."""
        sides = [self._numbers(side, np.int32) for side in ("height", "width")]
        return np.stack(sides, axis=1)

    def contents(self) -> NDArray[np.void]:
        """The hashes of all rows' picture files, 16 bytes each."""
        return self._numbers("content", np.dtype("V16"))

    def _numbers(self, column: str, dtype: Any) -> NDArray[Any]:
        parts = [
            np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset : chunk.offset + len(chunk)]
            for chunk in self._columns[column]
        ]
        return np.concatenate(parts) if parts else np.empty(0, dtype)

    @classmethod
    def write(cls, file: Path, entries: Iterable[Entry]) -> "Catalog":
        """Under a temporary name, then renamed: a file that is there is whole."""
        part = file.with_suffix(f".{os.getpid()}.tmp")
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as out:
            for chunk in _chunks(iter(entries)):
                out.write_batch(chunk)
        part.replace(file)
        return cls(file)


def _chunks(entries: Iterator[Entry]) -> Iterator[Any]:
    while some := list(islice(entries, CHUNK)):
        yield pa.record_batch(
            [
                [one.record.key for one in some],
                [one.record.captions for one in some],
                [one.record.file for one in some],
                [one.record.offset for one in some],
                [one.record.length for one in some],
                [one.record.licence for one in some],
                [json.dumps(one.record.extra) if one.record.extra else "{}" for one in some],
                [one.height for one in some],
                [one.width for one in some],
                [one.content for one in some],
            ],
            schema=_SCHEMA,
        )
