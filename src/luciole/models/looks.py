"""The encoder of looks: directions whose cosine says whether two pictures show the same person."""

from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from luciole.models.classifier import AttributeClassifier

SIDE = 128
"""Pixels of the pictures it learned from."""


class LooksEncoder(nn.Module):
    """What a classifier reads of somebody's looks, as a direction.

    The chances of each look's values, under a square root and side by side: of unit length, and
    the cosine of two is the mean over the looks of their chances' overlap, the Bhattacharyya
    coefficient (Bulletin of the Calcutta Mathematical Society 35, 1943). It is 1 where both
    pictures are read alike, and smaller by the share of looks that differ.
    """

    def __init__(self, classifier: AttributeClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    @property
    def width(self) -> int:
        """Of a direction."""
        return sum(len(values) for values in self.classifier.classes.values())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Of a classifier's folder, in evaluation mode; FileNotFoundError, ValueError."""
        return cls(AttributeClassifier.load(folder)).eval()

    def forward(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n width"]:
        """Of pixels in -1..1."""
        read = self.classifier(pixels).values()
        chances = torch.cat([scores.softmax(dim=1) for scores in read], dim=1)
        return (chances / len(self.classifier.classes)).sqrt()
