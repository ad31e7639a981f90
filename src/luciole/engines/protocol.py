"""What a pipeline asks of an engine, and the check of inputs that engines share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from luciole.bundle import Bundle, GraphSpec
from luciole.domain import EngineError
from luciole.engines.bank import StyleBank

STYLE_SLOTS = 33
"""Places of a bank unless somebody says otherwise: 32 styles of the lowest rank, and none."""


class Engine(Protocol):
    """Runs graphs by name, here or elsewhere; safe to call from several threads."""

    @property
    def bundle(self) -> Bundle:
        """The manifest, tokenizers and scheduler that belong to the graphs."""
        ...

    @property
    def bank(self) -> StyleBank | None:
        """The styles that live beside the denoiser, where its graph takes any."""
        ...

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name; EngineError when the engine cannot be reached or refuses."""
        ...

    def close(self) -> None:
        """Let go of sessions and connections; calling twice is fine."""
        ...


def style_bank(
    bundle: Bundle, slots: int, folder: Path | None = None, places: range | None = None
) -> StyleBank | None:
    """An empty bank for all graphs that take styles; None where none does."""
    specs = bundle.manifest.banks
    return StyleBank(specs, slots, folder, places) if specs else None


def checked_inputs(
    bundle: Bundle, graph: str, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The inputs in the graph's order, contiguous; EngineError names what does not fit."""
    spec = graph_spec(bundle, graph)
    unknown = inputs.keys() - {tensor.name for tensor in spec.inputs}
    if unknown:
        raise EngineError(f"{graph}.{min(unknown)}", "is not an input of this graph")
    axes: dict[str, int] = {}
    checked = {}
    for tensor in spec.inputs:
        field = f"{graph}.{tensor.name}"
        if tensor.name not in inputs:
            raise EngineError(field, "is missing")
        value = inputs[tensor.name]
        if value.dtype != np.dtype(tensor.dtype):
            raise EngineError(field, f"is {value.dtype}, expected {tensor.dtype}")
        if not _fits(value.shape, tensor.shape, axes):
            raise EngineError(field, f"has shape {value.shape}, expected {tensor.shape}")
        checked[tensor.name] = np.ascontiguousarray(value)
    return checked


def graph_spec(bundle: Bundle, graph: str) -> GraphSpec:
    """How the graph is called; EngineError if the bundle has none of that name."""
    try:
        return bundle.manifest.graphs[graph]
    except KeyError:
        raise EngineError(graph, "is not a graph of this bundle") from None


def _fits(shape: tuple[int, ...], expected: tuple[int | str, ...], axes: dict[str, int]) -> bool:
    """Whether sizes agree; an axis name stands for one size in all inputs of a call."""
    return len(shape) == len(expected) and all(
        size == (axes.setdefault(axis, size) if isinstance(axis, str) else axis)
        for size, axis in zip(shape, expected, strict=True)
    )
