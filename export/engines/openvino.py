"""Measures what OpenVINO makes of the ONNX graphs, for CPUs that compute in bf16 (or in fp32)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from export.engines.precision import Precision
from export.engines.profiles import Room
from export.graphs import Graph
from export.parity import answers, relative_error
from luciole.bundle import GraphSpec
from luciole.compiled import Compiled, CompiledGraph, Machine, Runtime, write_compiled
from luciole.domain import BundleError, EngineError
from luciole.engines.openvino import OpenVinoSession, openvino_machine


@dataclass(frozen=True, config={"extra": "forbid"})
class OpenVino:
    """How to compute; `unrounded` graphs stay in fp32.

    OpenVINO reads the ONNX graphs themselves and compiles them where they run: what is written is
    how far each is off.
    """

    precision: Literal["fp32", "bf16"]
    unrounded: tuple[str, ...] = ()
    tolerance: float = 0.05
    """Largest relative error against torch in fp32."""

    def machine(self) -> Machine:
        """What the figures are bound to; EngineError without the library, or without bf16."""
        machine = openvino_machine()
        if self.precision not in ("fp32", machine.capability):
            words = f"is not computed in {self.precision} on this CPU; choose precision=fp32"
            raise EngineError("target.engines.precision", words)
        return machine

    def compile(
        self,
        graphs: Sequence[Graph],
        room: Room,
        example: Mapping[str, int],
        folder: Path,
        step: Callable[[str], None],
    ) -> None:
        """Write `<folder>/openvino/engines.json`.

        `folder` holds the ONNX graphs, which take any size, whatever `room` there is; each is run
        at the `example` size, with styles and without. BundleError if one is off by too much.
        """
        machine, out = self.machine(), folder / Runtime.OPENVINO
        out.mkdir()
        made: dict[str, CompiledGraph] = {}
        for graph in graphs:
            kept = graph.name in self.unrounded
            precision = Precision.FP32 if kept else Precision(self.precision)
            inputs = graph.inputs({**example, "batch": 2})
            for name, spec in graph.specs.items():
                step(f"measuring {name} in {precision}")
                session = _session(graph, spec, inputs, folder / spec.file, precision)
                asked = [inputs] if spec.bank is None else [inputs, _unstyled(graph, inputs)]
                worst = max(_error(session, graph, spec, one) for one in asked)
                if worst > self.tolerance:
                    words = f"is off by {worst:.1e} in {precision}, more than {self.tolerance:.1e}"
                    raise BundleError(name, f"{words}; name the graph in `unrounded`")
                made[name] = CompiledGraph(
                    file=spec.file, precision=precision, relative_error=worst
                )
        write_compiled(Compiled(machine=machine, graphs=made), out)


def _session(
    graph: Graph, spec: GraphSpec, inputs: Sequence[Tensor], file: Path, precision: Precision
) -> OpenVinoSession:
    named = _named(graph, inputs)
    resident = {port.name: named[port.name] for port in spec.resident}
    return OpenVinoSession(str(file), precision, resident)


def _unstyled(graph: Graph, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same inputs, in which no row has a style."""
    names = [tensor.name for tensor in graph.tensors]
    return tuple(
        torch.zeros_like(one) if name in ("style_slot", "style_weight") else one
        for name, one in zip(names, inputs, strict=True)
    )


def _error(
    session: OpenVinoSession, graph: Graph, spec: GraphSpec, inputs: Sequence[Tensor]
) -> float:
    """The largest of the graph's outputs, against torch in fp32."""
    exact, named = answers(graph, inputs), _named(graph, inputs)
    names = [port.name for port in spec.outputs]
    found = session.run(names, {port.name: named[port.name] for port in spec.inputs})
    return max(relative_error(f, exact[name]) for name, f in zip(names, found, strict=True))


def _named(graph: Graph, inputs: Sequence[Tensor]) -> dict[str, np.ndarray]:
    names = [tensor.name for tensor in graph.tensors]
    return {name: one.numpy() for name, one in zip(names, inputs, strict=True)}
