"""Wordings of pictures with what they are wordings of; no picture is opened."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from luciole.data.captioned import wording
from luciole.data.pictures import Pictures
from luciole.data.stream import Batch, Chances
from luciole.storyworld import ATTRIBUTES


class DescribedScenes:
    """A wording is drawn anew every time a scene comes by; it may leave a kind unsaid."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def provenance(self) -> dict[str, Any]:
        """Of the pictures."""
        return self.pictures.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`captions`: n strings; `labels` int64 [n, kind] in the order of ATTRIBUTES."""
        captions = [wording(self.pictures, *pair) for pair in zip(rows, chances, strict=True)]
        return {"captions": captions, "labels": torch.tensor([self._labels(row) for row in rows])}

    def _labels(self, row: int) -> list[int]:
        labels = self.pictures.words[row]["labels"]
        return [values.index(labels[kind]) for kind, values in ATTRIBUTES.items()]
