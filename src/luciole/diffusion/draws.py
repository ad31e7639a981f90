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
    With `even` the uniform numbers of neighbouring places leave no gaps: the n-th call steps by
    the root of the n-th prime from place to place (Richtmyer's sequence), so that the mean over a
    few hundred samples is near the mean over all timesteps.
    """

    def __init__(
        self,
        seed: int,
        places: Sequence[int] | Tensor,
        device: torch.device | str = "cpu",
        purpose: int = 0,
        even: bool = False,
    ) -> None:
        self._start = np.random.default_rng((seed, 2, purpose))
        self._places = np.array([int(place) for place in places], np.float64)
        self._roots = [prime**0.5 for prime in (7, 5, 3, 2)] if even else []
        self._chances = [np.random.default_rng((seed, 2, purpose, int(place))) for place in places]
        self._device = device

    def normal(self, *shape: int) -> Float[Tensor, "n ..."]:
        """Standard normal numbers `[n, *shape]`; every call goes on where the last one stopped."""
        drawn = [chance.standard_normal(shape, np.float32) for chance in self._chances]
        return torch.from_numpy(np.stack(drawn)).to(self._device)

    def uniform(self) -> Float[Tensor, " n"]:
        """One number in 0..1 a sample, 1 left out."""
        if self._roots:
            drawn = (self._start.random() + self._places * self._roots.pop()) % 1
        else:
            drawn = np.array([chance.random() for chance in self._chances])
        below_one = np.nextafter(np.float32(1), np.float32(0))
        return torch.from_numpy(np.minimum(drawn.astype(np.float32), below_one)).to(self._device)
