"""Picture batches for the autoencoder."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from luciole.data.pictures import Pictures
from luciole.data.stream import Batch, Chances


def as_tensor(images: NDArray[np.uint8]) -> Float[Tensor, "n 3 h w"]:
    """Pixels in -1..1, channels first."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


class Crops:
    """Random squares at first, whole pictures from a step on.

    Squares cost less and differ more; whole pictures settle the group norms' statistics. Their
    batch is smaller by the ratio of the areas, so a step costs the same.
    """

    def __init__(self, pictures: Pictures, crop: int, whole_from: int) -> None:
        self.pictures, self.crop, self.whole_from = pictures, crop, whole_from

    def __len__(self) -> int:
        return len(self.pictures)

    def provenance(self) -> dict[str, Any]:
        """Of the pictures."""
        return self.pictures.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`pictures`: float [n, 3, crop, crop]."""
        if step >= self.whole_from:
            ratio = (self.pictures.size // self.crop) ** 2
            return {"pictures": as_tensor(self.pictures.images(rows[: max(1, len(rows) // ratio)]))}
        free = self.pictures.size - self.crop + 1
        corners = [chance.integers(0, free, 2) for chance in chances]
        images = self.pictures.images(rows)
        squares = [
            image[y : y + self.crop, x : x + self.crop]
            for image, (y, x) in zip(images, corners, strict=True)
        ]
        return {"pictures": as_tensor(np.stack(squares))}
