"""Hugging Face data sets: those with random access, and streams, which are first read to disk."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
from filelock import FileLock
from rich.progress import track

from luciole.data.records import Record, described, written
from luciole.data.shards import Shards


class HuggingFace:
    """A data set from disk, arrow, parquet or the hub, as `datasets` loads it.

    `picture` and `caption` are its columns; `licence` and `opt_out` are read where there are such
    columns, `extra` names others to keep.
    """

    def __init__(
        self,
        dataset: Any,
        name: str,
        picture: str = "image",
        caption: str = "text",
        licence: str | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self._told = columns(dataset, name, picture, caption, extra)
        self._name, self._picture, self._caption = name, picture, caption
        self._licence = licence
        self._words = dataset.select_columns(self._told)
        bare = dataset.select_columns([picture])
        self._pictures = bare.cast_column(picture, datasets.Image(decode=False))

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def version(self) -> str:
        """Of the rows that are meant, and of the files that hold them."""
        files = [written(Path(one["filename"])) for one in self._words.cache_files]
        said = [self._words._fingerprint, self._picture, *self._told, str(self._licence), *files]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def __iter__(self) -> Iterator[Record]:
        for row, fields in enumerate(self._words):
            where = f"{self._name}[{row}]"
            told = described(renamed(fields, self._caption), where)
            told["licence"] = told["licence"] or self._licence
            yield Record(key=where, file="", offset=row, **told)

    def read(self, file: str, offset: int, length: int) -> bytes:
        """The row `offset`."""
        return picture_bytes(self._pictures[offset][self._picture])


class HuggingFaceStream(Shards):
    """A stream of `datasets`, its first `count` rows.

    A stream has no random access, and no shuffled window over it can be taken up again at a step
    exactly. So it is read once, in order, to shards under `folder`, and is a set like others then;
    broken off, the reading goes on behind the last whole shard. What the stream becomes later is
    not looked at: another `folder` reads it again.
    """

    def __init__(
        self,
        dataset: Any,
        name: str,
        folder: str,
        count: int,
        picture: str = "image",
        caption: str = "text",
        licence: str | None = None,
        extra: Sequence[str] = (),
        shard: int = 1000,
    ) -> None:
        told = columns(dataset, name, picture, caption, extra)
        asked = {"name": name, "count": count, "columns": [picture, *told], "shard": shard}
        place, self._name = Path(folder), name
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / "lock"):
            _same(place / "stream.json", asked)
            if not (place / "complete").exists():
                bare = dataset.select_columns([picture, *told])
                rows = bare.cast_column(picture, datasets.Image(decode=False))
                _spool(rows, place, count, shard, picture, caption)
                (place / "complete").touch()
        super().__init__(f"{place}/*.tar", licence)

    @property
    def name(self) -> str:
        """As given."""
        return self._name


def columns(dataset: Any, name: str, picture: str, caption: str, extra: Sequence[str]) -> list[str]:
    """Those that tell of the picture; ValueError names one that is not there."""
    there = dataset.column_names
    if there is None:
        there = list(next(iter(dataset)))
    for column in (picture, caption, *extra):
        if column not in there:
            raise ValueError(f'{name}: no column "{column}"; there are {", ".join(there)}')
    flags = [column for column in ("licence", "license", "opt_out") if column in there]
    return [caption, *dict.fromkeys([*flags, *extra])]


def renamed(fields: Mapping[str, Any], caption: str) -> dict[str, Any]:
    """The caption's column under the name that `described` knows."""
    return {"text" if name == caption else name: value for name, value in fields.items()}


def picture_bytes(cell: Any) -> bytes:
    """Of a cell that was left encoded: its bytes, or those of the file it names."""
    if cell is None:
        return b""
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    return Path(cell["path"]).read_bytes()


def _same(file: Path, asked: dict[str, Any]) -> None:
    """What lies in the folder is what was asked for, or nothing yet."""
    if not file.exists():
        file.write_text(json.dumps(asked))
    elif (there := json.loads(file.read_text())) != asked:
        raise ValueError(f"{file}: holds {there}, not {asked}; give another folder")


def _spool(rows: Any, place: Path, count: int, shard: int, picture: str, caption: str) -> None:
    """Write what is missing, a shard at a time, each under a temporary name first."""
    for old in place.glob("*.tmp"):
        old.unlink()
    done = len(list(place.glob("*.tar")))
    left = iter(rows.skip(done * shard).take(max(0, count - done * shard)))
    firsts = range(done * shard, count, shard)
    for first in track(firsts, "reading the stream", disable=not firsts):
        batch = list(islice(left, min(shard, count - first)))
        if not batch:
            return
        part = place / f"{first:09}.tmp"
        with tarfile.open(part, "w") as tar:
            for number, fields in enumerate(batch, first):
                told = dict(fields)
                _add(tar, f"{number:09}.img", picture_bytes(told.pop(picture)))
                _add(tar, f"{number:09}.json", json.dumps(renamed(told, caption)).encode())
        part.replace(part.with_suffix(".tar"))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
