"""Linear layers that take each sample's own mix of styles from one bank (arXiv:2311.03285).

The bank holds the low-rank factors of all layers side by side, `a` [slot, rank, sum of inputs] and
`b` [slot, rank, sum of outputs]; slot 0 is zeros. Adding a style changes no weight and no graph.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class Place(NamedTuple):
    """A layer's columns in the bank, after those of the layers before it."""

    path: str
    inputs: int
    outputs: int


class StyleMix:
    """The factors of the samples that are being worked on, gathered once for all layers."""

    def __init__(self) -> None:
        self.a = torch.empty(0)
        self.b = torch.empty(0)

    def gather(
        self,
        bank_a: Float[Tensor, "slot rank inputs"],
        bank_b: Float[Tensor, "slot rank outputs"],
        slots: Int64[Tensor, "n styles"],
        weights: Float[Tensor, "n styles"],
    ) -> None:
        """Each sample's factors, one style after the other along the rank."""
        # `bank[slots]` would become a Transpose of the whole bank and a GatherND: the price of a
        # step would grow with the bank.
        chosen, count = slots.flatten(), slots.shape[1] * bank_a.shape[1]
        # The bank stays in its own type; what a step uses of it is of the step's.
        a = bank_a.index_select(0, chosen).to(weights.dtype)
        b = bank_b.index_select(0, chosen).to(weights.dtype) * weights.flatten()[:, None, None]
        self.a = a.reshape(slots.shape[0], count, bank_a.shape[2])
        self.b = b.reshape(slots.shape[0], count, bank_b.shape[2])


class StyledLinear(nn.Module):
    """`W x + Σ w (x Aᵀ) B` with the A, B and w of each sample."""

    def __init__(self, linear: nn.Linear, mix: StyleMix, inputs: slice, outputs: slice) -> None:
        super().__init__()
        self.linear = linear
        self._mix, self._inputs, self._outputs = mix, inputs, outputs

    def forward(self, x: Float[Tensor, "n t i"]) -> Float[Tensor, "n t o"]:
        """Of tokens."""
        low = x @ self._mix.a[:, :, self._inputs].transpose(1, 2)
        moved: Tensor = self.linear(x) + low @ self._mix.b[:, :, self._outputs]
        return moved


def wrap(module: nn.Module, paths: Sequence[str], mix: StyleMix) -> tuple[Place, ...]:
    """Put StyledLinear around the named layers; where each one's columns lie in the bank.

    Raise TypeError for a layer that is not linear.
    """
    layers, inputs, outputs = [], 0, 0
    for path in paths:
        linear = module.get_submodule(path)
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"{path}: is a {type(linear).__name__}, not a linear layer")
        wide_in, wide_out = linear.in_features, linear.out_features
        place = slice(inputs, inputs + wide_in), slice(outputs, outputs + wide_out)
        module.set_submodule(path, StyledLinear(linear, mix, *place))
        layers.append(Place(path, wide_in, wide_out))
        inputs, outputs = inputs + wide_in, outputs + wide_out
    return tuple(layers)


def styleable(module: nn.Module, inside: str = "attentions") -> list[str]:
    """All linear layers of the transformers: what LoRA trainers aim at."""
    return [
        path
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and inside in path.split(".")
    ]
