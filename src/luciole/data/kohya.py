"""Pictures beside text files of the same name, as kohya's scripts lay them out."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from luciole.data.records import Record, part_of, wordings_of, written

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_REPEATED = re.compile(r"(\d+)_(.+)")


class KohyaPairs:
    """`a.png` with `a.txt`; each line of the text is one wording.

    In a folder named `N_name` every picture comes N times an epoch, elsewhere once. With
    `name_as_caption` the name is said of pictures without a text; else they are an error.
    """

    def __init__(
        self, folder: str, licence: str | None = None, name_as_caption: bool = False
    ) -> None:
        self._folder, self._licence = Path(folder), licence
        self._name_as_caption = name_as_caption
        if not self._folder.is_dir():
            raise FileNotFoundError(f"{self._folder}: there is no such folder")

    @property
    def name(self) -> str:
        """The folder's own."""
        return self._folder.name

    def version(self) -> str:
        """Of all pictures and texts."""
        digest = hashlib.sha256(f"{self._licence}:{self._name_as_caption}".encode())
        for file in self._pictures():
            digest.update(written(file).encode())
            text = file.with_suffix(".txt")
            digest.update(written(text).encode() if text.is_file() else b"none")
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Record]:
        for file in self._pictures():
            repeated = (
                _REPEATED.fullmatch(file.parent.name) if file.parent != self._folder else None
            )
            key = str(file.relative_to(self._folder))
            yield Record(
                key=key,
                file=key,
                captions=self._captions(file, repeated[2] if repeated else None),
                licence=self._licence,
                repeats=int(repeated[1]) if repeated else 1,
            )

    def read(self, file: str, offset: int, length: int) -> bytes:
        """The whole file."""
        return part_of(self._folder / file, offset, length)

    def _pictures(self) -> Iterator[Path]:
        """Of the folder and the folders in it, by name."""
        folders = sorted(one for one in self._folder.iterdir() if one.is_dir())
        for folder in (self._folder, *folders):
            yield from sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)

    def _captions(self, file: Path, name: str | None) -> tuple[str, ...]:
        text = file.with_suffix(".txt")
        if not text.is_file():
            if self._name_as_caption and name:
                return (name,)
            raise ValueError(f"{file}: no caption; {text.name} is not beside it")
        lines = text.read_text(encoding="utf-8").splitlines()
        return wordings_of([line for line in lines if line.strip()], str(text))
