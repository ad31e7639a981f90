"""Small inputs with known outputs: how an engine proves that it computes, not just answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luciole.bundle import Bundle, TensorSpec
from luciole.domain import EngineBadOutput
from luciole.engines import Engine

TOLERANCE = 1e-3
"""Largest difference allowed, as a part of the largest expected value."""
SPREAD = 3.0
"""How much further from it than on average a rounded graph may be on one small input."""
TOKENS = 77
MIDDLE_TIMESTEP = 500.0


@dataclass(frozen=True)
class Probe:
    """A small input of one graph and what a trusted engine makes of it."""

    graph: str
    inputs: Mapping[str, NDArray[Any]]
    expected: Mapping[str, NDArray[Any]]
    tolerance: float = TOLERANCE

    def judge(self, outputs: Mapping[str, NDArray[Any] | None]) -> None:
        """EngineBadOutput names the output that is missing, misshapen, off or not a number."""
        for name, expected in self.expected.items():
            field, got = f"{self.graph}.{name}", outputs.get(name)
            if got is None or got.shape != expected.shape:
                shape = "nothing" if got is None else f"shape {got.shape}"
                raise EngineBadOutput(field, f"expected shape {expected.shape}, got {shape}")
            limit = self.tolerance * max(float(np.abs(expected).max()), 1e-6)
            worst = float(np.abs(got.astype(np.float64) - expected).max())
            if not worst <= limit:
                raise EngineBadOutput(field, f"differs by {worst:.3g} from the known output")


def learned(engine: Engine, errors: Mapping[str, float] | None = None) -> list[Probe]:
    """One probe for each graph of the engine's bundle; the engine is the one to be trusted.

    `errors`, by graph, are the relative ones that were measured of the engine to be proven.
    """
    bundle, known = engine.bundle, errors or {}
    asked = {graph: small_inputs(bundle, graph) for graph in bundle.manifest.graphs}
    return [
        Probe(
            graph,
            inputs,
            engine.run(graph, inputs),
            max(TOLERANCE, SPREAD * known.get(graph, 0.0)),
        )
        for graph, inputs in asked.items()
    ]


def prove(engine: Engine, probes: Sequence[Probe]) -> None:
    """Run every probe; EngineError when there is no answer, EngineBadOutput when it is wrong."""
    for probe in probes:
        probe.judge(engine.run(probe.graph, probe.inputs))


def small_inputs(bundle: Bundle, graph: str) -> dict[str, NDArray[Any]]:
    """Return one row of the smallest size, the same numbers every time."""
    manifest = bundle.manifest
    side = manifest.sizes.min // manifest.latent_stride
    axes = {"tokens": TOKENS, "height": side, "width": side}
    axes |= {"picture_height": manifest.sizes.min, "picture_width": manifest.sizes.min}
    noise = np.random.default_rng(0)
    endings = iter(encoding.eos for encoding in manifest.prompt.tokenizers)

    def value(spec: TensorSpec) -> NDArray[Any]:
        # Whatever else varies may be 1: one row, one identity, one place.
        shape = spec.sized(axes)
        if spec.name == "style_slot":
            return np.zeros(shape, np.int64)
        if spec.dtype == "int64":
            return np.full(shape, next(endings), np.int64)
        if spec.name == "timestep":
            return np.full(shape, MIDDLE_TIMESTEP, spec.dtype)
        return noise.standard_normal(shape).astype(spec.dtype)

    return {spec.name: value(spec) for spec in manifest.graphs[graph].inputs}
