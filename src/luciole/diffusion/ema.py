"""Exponential moving average of weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """`average ← d·average + (1 − d)·weight`, with d rising as (1 + t)/(10 + t) to `decay`.

    Follows the trainable parameters of `module`; frozen ones and buffers are their own average.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._weights = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.averages = {n: p.detach().clone() for n, p in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        averages = [self.averages[name] for name in self._weights]
        torch._foreach_lerp_(averages, list(self._weights.values()), 1 - decay)
        self.steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module computes with the averages inside this block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._weights.items():
            held = weight.detach().clone()
            weight.copy_(self.averages[name])
            self.averages[name].copy_(held)

    def state_dict(self) -> dict[str, Tensor | int]:
        """All that `load_state_dict` needs to go on."""
        return {"steps": self.steps, **{f"average.{n}": a for n, a in self.averages.items()}}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Raise KeyError naming a missing average, ValueError for one that nothing follows."""
        extra = set(state) - {"steps", *(f"average.{name}" for name in self.averages)}
        if extra:
            raise ValueError(f"averages of unknown weights: {sorted(extra)}")
        self.steps = int(state["steps"])
        for name, average in self.averages.items():
            average.copy_(torch.as_tensor(state[f"average.{name}"]))
