"""Captioned pictures of any kind by row: words and sizes memory-mapped, pixels read when asked."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int32
from numpy.typing import NDArray
from PIL import Image

from luciole.data.pixels import Unreadable, rgb
from luciole.data.records import Records
from luciole.data.survey import Report, content_of, surveyed

Part = Literal["train", "held_out", "all"]
log = logging.getLogger(__name__)


class Album:
    """The pictures of a set that may and can be used, or one part of them.

    `held_out` is the share of pictures that training does not see; which ones, their bytes' hash
    says, so copies of a picture stay together. Up to `corrupt_limit` damaged or foreign files
    are left out, more are a ValueError; the report under `folder` names them all.
    """

    def __init__(
        self,
        records: Records,
        folder: str,
        part: Part = "all",
        held_out: float = 0.05,
        corrupt_limit: int = 0,
        threads: int = 1,
    ) -> None:
        self.records, self.part = records, part
        self.catalog, self.report, file = surveyed(records, Path(folder), threads)
        _check(self.report, file, corrupt_limit)
        self._rows = _chosen(self.catalog.contents(), part, held_out)

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, row: int) -> str:
        """What messages call the picture."""
        key: str = self.catalog.value("key", int(self._rows[row]))
        return key

    def captions(self, row: int) -> list[str]:
        """All wordings for one picture."""
        wordings: list[str] = self.catalog.value("captions", int(self._rows[row]))
        return wordings

    def licence(self, row: int) -> str | None:
        """Of one picture, where it is known."""
        licence: str | None = self.catalog.value("licence", int(self._rows[row]))
        return licence

    def other(self, row: int) -> dict[str, Any]:
        """What else its record says."""
        return self.catalog.other(int(self._rows[row]))

    def contents(self) -> NDArray[np.void]:
        """Of each row's picture file, 16 bytes of SHA-256."""
        return self.catalog.contents()[self._rows]

    def sizes(self) -> Int32[np.ndarray, "n 2"]:
        """Height and width of each row's upright picture."""
        return self.catalog.sizes()[self._rows]

    def read(self, row: int) -> Image.Image:
        """The picture, upright, in RGB; Unreadable if its file is not what it was."""
        entry = int(self._rows[row])
        where = [self.catalog.value(name, entry) for name in ("file", "offset", "length")]
        data = self.records.read(*where)
        if content_of(data) != self.catalog.value("content", entry):
            raise Unreadable(f"{self.records.name}: {self.key(row)} changed during the run")
        return rgb(data)

    def provenance(self) -> dict[str, Any]:
        """Of the whole set, and which part of it this is."""
        return {
            "source": self.report.source,
            "part": self.part,
            "rows": len(self),
            "pictures": self.report.pictures,
            "licences": dict(self.report.licences),
            "opted_out": self.report.opted_out,
            "unreadable": len(self.report.unreadable),
            "content": self.report.content,
        }


def _check(report: Report, file: Path, limit: int) -> None:
    """ValueError where too much is unreadable or too little is left."""
    broken = report.unreadable
    if len(broken) > limit:
        first = "; ".join(f"{key}: {why}" for key, why in list(broken.items())[:5])
        raise ValueError(
            f"{report.source}: {len(broken)} pictures cannot be read and corrupt_limit is {limit}: "
            f"{first}; {file} names all"
        )
    if broken:
        log.warning("%s: %d unreadable pictures left out: %s", report.source, len(broken), file)
    if report.pictures < 2:
        raise ValueError(
            f"{report.source}: {report.pictures} pictures to use ({report.opted_out} opted out, "
            f"{len(broken)} unreadable); at least two are needed, one of them to hold out"
        )


def _chosen(contents: NDArray[np.void], part: Part, held_out: float) -> NDArray[np.int64]:
    """The rows of a part: the pictures whose hash is smallest are held out, at least one."""
    if part == "all":
        return np.arange(len(contents))
    if not 0 < held_out < 1:
        raise ValueError(f"held_out: {held_out} is not a share between 0 and 1")
    hashes = contents.view(">u8")[::2]
    different = np.unique(hashes)
    kept = min(max(1, round(held_out * len(different))), len(different) - 1)
    if kept < 1:
        raise ValueError("held_out: all pictures are the same one, so none can be held out")
    apart = hashes <= different[kept - 1]
    return np.flatnonzero(apart if part == "held_out" else ~apart)
