"""Pictures as tensors."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from evals.sample import Image, Images


def as_pixels(
    pictures: Images | Sequence[Image], side: int | None = None
) -> Float[Tensor, "n 3 h w"]:
    """In -1..1; resized where another side is asked for."""
    found = torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2).float() / 127.5 - 1
    if side is None or found.shape[-2:] == (side, side):
        return found
    return interpolate(found, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
