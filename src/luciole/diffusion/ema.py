"""Exponential moving average of weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from luciole.diffusion.sharded import put, whole


class SlowCopy(nn.Module):
    """`copy ← d·copy + (1 − d)·weight` of a module's trainable weights, and what it says with them.

    Its own weights move with it to a device and into a checkpoint, and never train.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__()
        weights = trainable(module)
        self.decay, self._names = decay, list(weights)
        self.copies = nn.ParameterList(
            nn.Parameter(weight.detach().clone(), requires_grad=False)
            for weight in weights.values()
        )

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the weights of the module as they are now."""
        weights = trainable(module)
        torch._foreach_lerp_(
            list(self.copies), [weights[name] for name in self._names], 1 - self.decay
        )

    def forward(self, module: nn.Module, *asked: Any, **told: Any) -> Any:
        """What the module would answer with these weights in the place of its own."""
        copies = dict(zip(self._names, self.copies, strict=True))
        return functional_call(module, copies, asked, told)


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Its weights that learn, by name."""
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


class Ema:
    """`average ← d·average + (1 − d)·weight`, with d rising as (1 + t)/(10 + t) to `decay`.

    Follows the trainable parameters of `module`; frozen ones and buffers are their own average.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._weights = trainable(module)
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
        """All that `load_state_dict` needs; every process asks where weights are sharded."""
        averages = {f"average.{name}": whole(each) for name, each in self.averages.items()}
        return {"steps": self.steps, **averages}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Raise KeyError naming a missing average, ValueError for one that nothing follows."""
        extra = set(state) - {"steps", *(f"average.{name}" for name in self.averages)}
        if extra:
            raise ValueError(f"averages of unknown weights: {sorted(extra)}")
        self.steps = int(state["steps"])
        for name, average in self.averages.items():
            put(average, torch.as_tensor(state[f"average.{name}"]))
