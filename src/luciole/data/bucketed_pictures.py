"""An album's pictures in aspect buckets, as pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from luciole.data.album import Album
from luciole.data.buckets import Buckets
from luciole.data.crops import as_tensor
from luciole.data.stream import Batch, Chances
from luciole.data.windows import Crop, Windows, told


class BucketedPictures:
    """Read, resized and cut anew every time they come by."""

    def __init__(
        self, album: Album, buckets: Buckets, crop: Crop = "centre", drop: float = 0.0
    ) -> None:
        self.album, self.drop = album, drop
        self._windows = Windows(album, buckets, crop)
        self.groups = self._windows.groups

    def __len__(self) -> int:
        return len(self.album)

    def provenance(self) -> dict[str, Any]:
        """Of the album."""
        return self.album.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`pictures` float [n, 3, h, w]; `captions` n strings; `time_ids` float [n, 6]."""
        frames = [self._windows.drawn(*pair) for pair in zip(rows, chances, strict=True)]
        cut = [frame.cut(self.album.read(row)) for row, frame in zip(rows, frames, strict=True)]
        words = told(self.album, rows, frames, chances, self.drop)
        return {"pictures": as_tensor(np.stack(cut)), **words}
