"""How a picture gets the shape of its bucket, and what SDXL's conditions say of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Frame:
    """Resized to cover the shape, aspect kept; then the window at `corner` is cut out."""

    original: Size
    resized: Size
    corner: tuple[int, int]
    shape: Size

    def __str__(self) -> str:
        """All that pixels depend on."""
        return f"lanczos {self.resized} {self.corner} {self.shape}"

    def cut(self, image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
        """The window's pixels."""
        height, width = self.resized
        resized = image.resize((width, height), Image.Resampling.LANCZOS)
        (top, left), (tall, wide) = self.corner, self.shape
        return np.array(resized.crop((left, top, left + wide, top + tall)))

    def moved(self, down: int, right: int, shape: Size) -> "Frame":
        """A window inside this one."""
        corner = (self.corner[0] + down, self.corner[1] + right)
        return Frame(self.original, self.resized, corner, shape)

    @property
    def time_ids(self) -> tuple[int, ...]:
        """Original size, crop corner, target size; rows first (arXiv:2307.01952, 2.2)."""
        return (*self.original, *self.corner, *self.shape)


def centred(original: Size, shape: Size) -> Frame:
    """The middle of the picture."""
    resized = _covering(original, shape)
    corner = tuple((there - kept) // 2 for there, kept in zip(resized, shape, strict=True))
    return Frame(original, resized, (corner[0], corner[1]), shape)


def widest(original: Size, shape: Size, cell: int) -> Frame:
    """All of the resized picture but what whole cells leave at the edges."""
    height, width = _covering(original, shape)
    return Frame(
        original,
        (height, width),
        (height % cell // 2, width % cell // 2),
        (height - height % cell, width - width % cell),
    )


def _covering(original: Size, shape: Size) -> Size:
    scale = max(wanted / there for there, wanted in zip(original, shape, strict=True))
    height, width = (
        max(wanted, round(there * scale)) for there, wanted in zip(original, shape, strict=True)
    )
    return height, width
