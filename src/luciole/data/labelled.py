"""Pictures with what can be read from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, pad

from luciole.data.crops import as_tensor
from luciole.data.pictures import Pictures
from luciole.data.stream import Batch, Chances
from luciole.storyworld import ATTRIBUTES

UNREADABLE = -100
"""The label of what a framing hides; cross entropy passes over it."""


def values_of(kinds: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """The values of some of the world's kinds, in this order; None: of all."""
    return dict(ATTRIBUTES) if kinds is None else {kind: ATTRIBUTES[kind] for kind in kinds}


class LabelledPictures:
    """Real renders; with `disturb` shifted, blurred and with noise, as no renderer leaves them.

    `kinds` names the labels, in their order; None: all of ATTRIBUTES.
    """

    def __init__(
        self,
        pictures: Pictures,
        disturb: bool,
        kinds: Sequence[str] | None = None,
    ) -> None:
        self.pictures, self.disturb = pictures, disturb
        self.values = values_of(kinds)

    def __len__(self) -> int:
        return len(self.pictures)

    def provenance(self) -> dict[str, Any]:
        """Of the pictures."""
        return self.pictures.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`pictures` float [n, 3, h, w]; `labels` int64 [n, kind] in their order."""
        images = as_tensor(self.pictures.images(rows))
        labels = torch.tensor([self.labels(row) for row in rows])
        return {
            "pictures": disturbed(images, chances) if self.disturb else images,
            "labels": labels,
        }

    def labels(self, row: int) -> list[int]:
        """The index of each kind's value, or UNREADABLE."""
        words = self.pictures.words[row]
        readable = set(words["readable"])
        return [
            values.index(words["labels"][kind]) if kind in readable else UNREADABLE
            for kind, values in self.values.items()
        ]


def disturbed(
    pictures: Float[Tensor, "n c h w"], chances: Chances, reach: int = 6
) -> Float[Tensor, "n c h w"]:
    """Each moved by up to `reach` pixels, blurred (σ < 1.2 px) and with noise (< 0.1)."""
    return torch.stack([_disturbed(*pair, reach) for pair in zip(pictures, chances, strict=True)])


def _disturbed(
    picture: Float[Tensor, "c h w"], chance: np.random.Generator, reach: int
) -> Float[Tensor, "c h w"]:
    height, width = picture.shape[-2:]
    y, x = chance.integers(0, 2 * reach + 1, 2)
    wide = pad(picture[None], (reach,) * 4, mode="replicate")
    moved = wide[..., y : y + height, x : x + width]
    noise = chance.standard_normal(picture.shape, np.float32) * np.float32(chance.uniform(0, 0.1))
    return blur(moved, sigma=float(chance.uniform(0.05, 1.2)))[0] + torch.from_numpy(noise)


def blur(pictures: Float[Tensor, "n c h w"], sigma: float) -> Float[Tensor, "n c h w"]:
    """Gaussian of 5 pixels a side."""
    places = torch.arange(-2, 3, dtype=torch.float32)
    line = torch.exp(-(places**2) / (2 * sigma**2))
    line = line / line.sum()
    kernel = torch.outer(line, line).expand(pictures.shape[1], 1, 5, 5)
    return conv2d(pad(pictures, (2,) * 4, mode="replicate"), kernel, groups=pictures.shape[1])
