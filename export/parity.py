"""How far each exported graph is from the torch module it came from."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.table import Table
from torch import Tensor

from export.graphs import Graph, guided_sizes
from luciole.domain import BundleError
from luciole.engines import Engine

REPORT = "parity.json"
SHOWN = ("batch", "height", "width", "tokens", "slots", "identities")


class Agreement(BaseModel):
    """One comparison; the error is the largest difference over the largest reference value."""

    model_config = ConfigDict(frozen=True)

    graph: str
    output: str
    sizes: dict[str, int]
    relative_error: float


def cases(latents: int, multiple: int, window: int, slots: int) -> list[dict[str, int]]:
    """Batches and shapes unlike the traced ones: one row, odd rows, wide, tall, long prompts."""
    shapes = [
        {"batch": 1, "height": latents, "width": latents, "tokens": window},
        {"batch": 3, "height": latents, "width": latents + multiple, "tokens": 2 * window},
        {"batch": 5, "height": latents + multiple, "width": latents // 2, "tokens": 3 * window},
    ]
    return [
        {**shape, "slots": slots, **guided_sizes(identities=n + 1, tokens=4 * n + 1, anchors=n + 1)}
        for n, shape in enumerate(shapes)
    ]


def compare(graph: Graph, engine: Engine, sizes: dict[str, int], seed: int) -> list[Agreement]:
    """Run torch and the engine on the same random inputs."""
    inputs = graph.inputs(sizes, seed)
    references = answers(graph, inputs)
    names = [tensor.name for tensor in graph.tensors]
    feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    if graph.spec.bank is not None and engine.bank is not None:
        for name, array in engine.bank.resident(graph.spec.bank.name).items():
            np.copyto(array, feed.pop(name))
    used = {axis for tensor in graph.tensors for axis in tensor.shape if isinstance(axis, str)}
    return [
        Agreement(
            graph=name,
            output=output,
            sizes={axis: n for axis, n in sizes.items() if axis in used and axis in SHOWN},
            relative_error=relative_error(found, references[output]),
        )
        for name in graph.specs
        for output, found in engine.run(name, feed).items()
    ]


def answers(graph: Graph, inputs: Sequence[Tensor]) -> dict[str, NDArray[np.float32]]:
    """What torch makes of them, by output."""
    with torch.inference_mode():
        answer = graph.module(*inputs)
    found = answer if isinstance(answer, tuple) else (answer,)
    return {tensor.name: one.numpy() for tensor, one in zip(graph.outputs, found, strict=True)}


def relative_error(found: np.ndarray, reference: np.ndarray) -> float:
    """Infinite where shapes differ or a value is not finite."""
    if found.shape != reference.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def parity(
    graphs: Sequence[Graph],
    engine: Engine,
    sizes: Sequence[dict[str, int]],
    step: Callable[[str], None],
) -> list[Agreement]:
    """Every graph at every size; `step` is told what comes next."""
    agreements = []
    for graph in graphs:
        for seed, case in enumerate(sizes):
            step(f"comparing {graph.name}, batch {case['batch']}")
            agreements += compare(graph, engine, case, seed)
    return agreements


def write_report(agreements: Sequence[Agreement], tolerance: float, folder: Path) -> None:
    """Write parity.json; BundleError names the graph that is further off than the tolerance."""
    rows = [agreement.model_dump() for agreement in agreements]
    text = json.dumps({"tolerance": tolerance, "agreements": rows}, indent=2)
    (folder / REPORT).write_text(f"{text}\n")
    worst = max(agreements, key=lambda agreement: agreement.relative_error)
    if worst.relative_error > tolerance:
        raise BundleError(
            f"{worst.graph}.onnx",
            f"{worst.output} is off by {worst.relative_error:.1e} at {worst.sizes}, "
            f"more than {tolerance:.1e}",
        )


def table(agreements: Sequence[Agreement]) -> Table:
    """The report for people."""
    made = Table("graph", "output", "sizes", "relative error", title="ONNX against torch")
    for agreement in agreements:
        sizes = ", ".join(f"{axis} {size}" for axis, size in agreement.sizes.items())
        error = f"{agreement.relative_error:.1e}"
        made.add_row(agreement.graph, agreement.output, sizes, error)
    return made
