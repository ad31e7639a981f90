"""Chance that belongs to a sample, not to the batch, the process or the device it lands on."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Draws:
    """Random numbers for the samples at the given places of a stream.

    They depend on the seed, the purpose and the place alone: two processes with half a batch each
    draw what one process with the whole batch would, and a resumed run what it would have drawn.
    """

    def __init__(
        self,
        seed: int,
        places: Sequence[int] | Tensor,
        device: torch.device | str = "cpu",
        purpose: int = 0,
    ) -> None:
        self._chances = [np.random.default_rng((seed, 2, purpose, int(place))) for place in places]
        self._device = device

    def normal(self, *shape: int) -> Float[Tensor, "n ..."]:
        """Standard normal numbers `[n, *shape]`; every call goes on where the last one stopped."""
        drawn = [chance.standard_normal(shape, np.float32) for chance in self._chances]
        return torch.from_numpy(np.stack(drawn)).to(self._device)

    def uniform(self) -> Float[Tensor, " n"]:
        """One number in 0..1 a sample, 1 left out."""
        drawn = np.array([chance.random() for chance in self._chances], np.float32)
        below_one = np.nextafter(np.float32(1), np.float32(0))
        return torch.from_numpy(np.minimum(drawn, below_one)).to(self._device)
