"""Pictures with one of their wordings each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from luciole.data.crops import as_tensor
from luciole.data.pictures import Pictures
from luciole.data.stream import Batch, Chances


class CaptionedPictures:
    """A wording is drawn anew every time a picture comes by."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def provenance(self) -> dict[str, Any]:
        """Of the pictures."""
        return self.pictures.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`pictures`: float [n, 3, h, w]; `captions`: n strings."""
        captions = [wording(self.pictures, *pair) for pair in zip(rows, chances, strict=True)]
        return {"pictures": as_tensor(self.pictures.images(rows)), "captions": captions}


def wording(pictures: Pictures, row: int, rng: np.random.Generator) -> str:
    """One of the captions, all equally likely."""
    wordings = pictures.captions(row)
    return wordings[rng.integers(len(wordings))]
