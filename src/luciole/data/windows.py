"""Which part of each picture of an album a batch shows, and what is said of it."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from luciole.data.album import Album
from luciole.data.buckets import Buckets
from luciole.data.framing import Frame, Size, centred, widest
from luciole.data.stream import Chances

Crop = Literal["centre", "random"]


class Windows:
    """Every picture gets the shape of its bucket: the middle of it, or a part that chance chooses.

    Corners lie on whole cells of `cell` pixels a side, so that latents can be cut like pixels.
    """

    def __init__(self, album: Album, buckets: Buckets, crop: Crop, cell: int = 1) -> None:
        if crop not in ("centre", "random"):
            raise ValueError(f'crop: "{crop}" is neither centre nor random')
        if buckets.stride % cell:
            raise ValueError(f"buckets.stride: {buckets.stride} is not a multiple of {cell}")
        self._buckets, self._crop, self._cell = buckets, crop, cell
        self._sizes = album.sizes()
        self.groups = buckets.choose(self._sizes)

    def shape(self, row: int) -> Size:
        """Of the row's bucket."""
        return self._buckets.shapes[int(self.groups[row])]

    def kept(self, row: int) -> Frame:
        """The part that windows come from: the middle alone or, with chance, all whole cells."""
        height, width = self._sizes[row].tolist()
        if self._crop == "centre":
            return centred((height, width), self.shape(row))
        return widest((height, width), self.shape(row), self._cell)

    def drawn(self, row: int, chance: np.random.Generator) -> Frame:
        """One window of the bucket's shape."""
        kept, shape = self.kept(row), self.shape(row)
        down, right = (
            int(chance.integers(0, (there - wanted) // self._cell + 1)) * self._cell
            for there, wanted in zip(kept.shape, shape, strict=True)
        )
        return kept.moved(down, right, shape)


def told(
    album: Album, rows: NDArray[np.int64], frames: Sequence[Frame], chances: Chances, drop: float
) -> dict[str, Any]:
    """`captions`: one wording each or, in `drop` of all cases, none; `time_ids` float [n, 6]."""
    captions = []
    for row, chance in zip(rows, chances, strict=True):
        wordings = [""] if chance.random() < drop else album.captions(row)
        captions.append(wordings[chance.integers(len(wordings))])
    sizes = torch.tensor([frame.time_ids for frame in frames]).float()
    return {"captions": captions, "time_ids": sizes}
