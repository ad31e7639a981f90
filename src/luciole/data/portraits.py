"""Pictures of one person, whole and cut nearer, with the looks that can be read from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from PIL import Image

from luciole.data.crops import as_tensor
from luciole.data.labelled import LabelledPictures, disturbed
from luciole.data.pictures import CELL, Pictures
from luciole.data.stream import Batch, Chances

SMALLEST = 48
"""Pixels of the narrowest cut."""
_SHOWN = 0.3
"""The share of a cell from which somebody is in it."""
_HEAD = 3
"""Cells from the top of a person by which the head is found."""


class Portraits:
    """Of `pictures` those with one person in them; `near` of them are cut around head and chest.

    What is cut is scaled to the pictures' size. With `disturb` they are also shifted, blurred and
    given noise. `kinds` names the labels, in their order.
    """

    def __init__(
        self,
        pictures: Pictures,
        kinds: Sequence[str],
        near: float = 0.0,
        disturb: bool = False,
    ) -> None:
        self.pictures, self.near, self.disturb = pictures, near, disturb
        self._labelled = LabelledPictures(pictures, disturb=False, kinds=kinds)
        self._rows = np.array([i for i in range(len(pictures)) if self._alone(i)], np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def provenance(self) -> dict[str, Any]:
        """Of the pictures, those with more people too."""
        return self.pictures.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`pictures` float [n, 3, h, w]; `labels` int64 [n, kind]."""
        chosen = self._rows[rows]
        images = self.pictures.images(chosen)
        for i, chance in enumerate(chances):
            if chance.random() < self.near:
                images[i] = nearer(images[i], self.pictures.people(chosen[i]), chance)
        pictures = as_tensor(images)
        return {
            "pictures": disturbed(pictures, chances) if self.disturb else pictures,
            "labels": torch.tensor([self._labelled.labels(row) for row in chosen]),
        }

    def _alone(self, row: int) -> bool:
        return "skin" in self.pictures.words[row]["readable"]


def nearer(
    image: UInt8[np.ndarray, "s s 3"],
    people: Float32[np.ndarray, "c c"],
    chance: np.random.Generator,
) -> UInt8[np.ndarray, "s s 3"]:
    """A square around the upper part of whoever is covered by `people`, scaled to the same size.

    It is at least as wide as seven tenths of the person are high, so what they wear stays in it.
    """
    side, (ys, xs) = len(image), np.nonzero(people > _SHOWN)
    if len(ys) == 0:
        return image
    least = max(SMALLEST, round(0.7 * CELL * int(np.ptp(ys) + 1)))
    width = int(chance.integers(min(least, side), side + 1))
    middle = CELL * (xs[ys < ys.min() + _HEAD].mean() + 0.5) + width * chance.uniform(-0.15, 0.15)
    left = int(np.clip(middle - width / 2, 0, side - width))
    top = int(np.clip(CELL * ys.min() - width * chance.uniform(0.05, 0.25), 0, side - width))
    cut = Image.fromarray(image[top : top + width, left : left + width])
    return np.asarray(cut.resize((side, side), Image.Resampling.BICUBIC))
