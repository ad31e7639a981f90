"""WebDataset shards: tar files whose members of one key make a sample."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from luciole.data.records import Record, described, part_of, written

PICTURES = ("png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "img")
_Member = tuple[int, int]
"""Where its bytes begin in the tar, and how many they are."""


class Shards:
    """`key.png` with `key.txt` or `key.json` (`text`, `licence`, `opt_out`), from the tars of
    `pattern`, like `shards/*.tar`.

    The members' places are read once; then any sample is read by its place, without the rest.
    """

    def __init__(self, pattern: str, licence: str | None = None) -> None:
        self._pattern, self._licence = pattern, licence
        place = Path(pattern)
        self._files = sorted(place.parent.glob(place.name))
        if not self._files:
            raise FileNotFoundError(f"{pattern}: no such shards")

    @property
    def name(self) -> str:
        """The pattern's file part."""
        return Path(self._pattern).name

    def version(self) -> str:
        """Of all shards."""
        said = [f"{self._licence}", *map(written, self._files)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def __iter__(self) -> Iterator[Record]:
        for shard in self._files:
            for key, members in _samples(shard):
                yield self._record(shard, key, members)

    def read(self, file: str, offset: int, length: int) -> bytes:
        """One member."""
        return part_of(Path(file), offset, length)

    def _record(self, shard: Path, key: str, members: dict[str, _Member]) -> Record:
        where = f"{shard}:{key}"
        found = [members[kind] for kind in PICTURES if kind in members]
        if not found:
            raise ValueError(f"{where}: no picture among .{', .'.join(sorted(members))}")
        told = described(_fields(shard, where, members), where)
        told["licence"] = told["licence"] or self._licence
        offset, length = found[0]
        return Record(
            key=f"{shard.name}:{key}", file=str(shard), offset=offset, length=length, **told
        )


def _samples(shard: Path) -> Iterator[tuple[str, dict[str, _Member]]]:
    """The members of each key, by extension; those of one key follow each other."""
    key, members = "", dict[str, _Member]()
    for member in _members(shard):
        folder, _, name = member.name.rpartition("/")
        stem, _, kind = name.partition(".")
        if (full := f"{folder}/{stem}" if folder else stem) != key:
            if members:
                yield key, members
            key, members = full, {}
        members[kind.lower()] = (member.offset_data, member.size)
    if members:
        yield key, members


def _members(shard: Path) -> Iterator[tarfile.TarInfo]:
    try:
        with tarfile.open(shard, "r:") as tar:
            remembered: Any = tar
            while (member := tar.next()) is not None:
                remembered.members = []  # else all of them
                if member.isfile():
                    yield member
    except tarfile.TarError as error:
        raise ValueError(f"{shard}: not an uncompressed tar file: {error}") from None


def _fields(shard: Path, where: str, members: dict[str, _Member]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "json" in members:
        try:
            fields = json.loads(part_of(shard, *members["json"]))
        except ValueError as error:
            raise ValueError(f"{where}.json: not JSON: {error}") from None
    if "txt" in members:
        try:
            fields["text"] = part_of(shard, *members["txt"]).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{where}.txt: not UTF-8: {error}") from None
    return fields
