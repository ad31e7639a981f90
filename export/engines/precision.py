"""The same graphs, computing in another type; what goes in and comes out stays as it was."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.graphs import Graph
from export.parity import answers, relative_error
from luciole.domain import BundleError

KEPT = ("timestep", "pooled", "time_ids", "bank_a", "bank_b")
"""Inputs that stay as they are: bf16 has no 999, diffusers joins pooled words with times, and a
bank is large."""


class Precision(StrEnum):
    """What a graph computes in."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"


TYPES = {Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}


class Lowered(nn.Module):
    """A module whose weights and activations are of another type."""

    def __init__(self, module: nn.Module, names: Sequence[str], dtype: torch.dtype) -> None:
        """`names` are the inputs'; the module itself is changed."""
        super().__init__()
        self.module, self.dtype = module.to(dtype), dtype
        self.names = tuple(names)

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The module's outputs in fp32."""
        lowered = [
            x.to(self.dtype) if x.is_floating_point() and name not in KEPT else x
            for name, x in zip(self.names, given, strict=True)
        ]
        answer = self.module(*lowered)
        found = answer if isinstance(answer, tuple) else (answer,)
        return tuple(one.float() for one in found)


@dataclass(frozen=True)
class Rounded:
    """A graph in some precision, and what it answered to these inputs in fp32."""

    graph: Graph
    precision: Precision
    inputs: tuple[Tensor, ...]
    exact: Mapping[str, NDArray[Any]]

    def error(self, found: Mapping[str, NDArray[Any]], tolerance: float) -> float:
        """The largest of these outputs; BundleError if it is above the tolerance."""
        name, worst = max(
            ((name, relative_error(one, self.exact[name])) for name, one in found.items()),
            key=lambda pair: pair[1],
        )
        if worst > tolerance:
            words = f"{name} is off by {worst:.1e} in {self.precision}, more than {tolerance:.1e}"
            raise BundleError(self.graph.name, f"{words}; name the graph in `unrounded`")
        return worst


def rounded(
    graphs: Sequence[Graph],
    precision: Precision,
    unrounded: Sequence[str],
    example: Mapping[str, int],
) -> Iterator[Rounded]:
    """The `unrounded` graphs, then the others in this precision: their weights change in place.

    Work on each before asking for the next: graphs share weights.
    """
    inputs = {graph.name: graph.inputs({**example, "batch": 1}) for graph in graphs}
    exact = {graph.name: answers(graph, inputs[graph.name]) for graph in graphs}
    kept = [graph for graph in graphs if precision is Precision.FP32 or graph.name in unrounded]
    for graph in kept:
        yield Rounded(graph, Precision.FP32, inputs[graph.name], exact[graph.name])
    same = [graph.name for graph in kept]
    for graph in (graph for graph in graphs if graph.name not in same):
        names = [tensor.name for tensor in graph.tensors]
        lower = replace(graph, module=Lowered(graph.module, names, TYPES[precision]))
        yield Rounded(lower, precision, inputs[graph.name], exact[graph.name])
