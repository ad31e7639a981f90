"""A folder of pictures whose `metadata.jsonl` says what they show."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from luciole.data.records import Record, described, part_of, written


class ImageFolder:
    """Hugging Face's convention: each line has `file_name` and `text` (or `caption`, `captions`).

    Lines may also say `licence` and `opt_out`. Pictures without a line are not part of the set.
    `licence` is that of lines that name none.
    """

    def __init__(self, folder: str, licence: str | None = None) -> None:
        self._folder, self._licence = Path(folder), licence
        self._lines = self._folder / "metadata.jsonl"
        if not self._lines.is_file():
            raise FileNotFoundError(
                f'{self._lines}: not there; write a line {{"file_name": "a.png", "text": "..."}} '
                "for each picture"
            )

    @property
    def name(self) -> str:
        """The folder's own."""
        return self._folder.name

    def version(self) -> str:
        """Of the metadata and of all pictures that they name."""
        digest = hashlib.sha256(f"{self._licence}:{written(self._lines)}".encode())
        for where, fields in self._fields():
            digest.update(written(self._picture(fields, where)).encode())
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Record]:
        for where, fields in self._fields():
            file = str(self._picture(fields, where).relative_to(self._folder))
            told = described({k: v for k, v in fields.items() if k != "file_name"}, where)
            told["licence"] = told["licence"] or self._licence
            yield Record(key=file, file=file, **told)

    def read(self, file: str, offset: int, length: int) -> bytes:
        """The whole file."""
        return part_of(self._folder / file, offset, length)

    def _fields(self) -> Iterator[tuple[str, dict[str, Any]]]:
        with self._lines.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{self._lines}:{number}"
                    yield where, _parsed(line, where)

    def _picture(self, fields: dict[str, Any], where: str) -> Path:
        if not isinstance(fields.get("file_name"), str):
            raise ValueError(f'{where}: no "file_name"')
        file: Path = self._folder / fields["file_name"]
        if not file.is_file():
            raise FileNotFoundError(f"{where}: {file} is not there")
        return file


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{where}: not a JSON object")
    return fields
