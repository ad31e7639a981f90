"""Compiles graphs with AOTInductor, for machines that have torch and no TensorRT."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch._inductor import aoti_compile_and_package, aoti_load_package

from export.engines.precision import Precision, rounded
from export.engines.profiles import Room
from export.graphs import Graph
from luciole.compiled import Compiled, CompiledGraph, Machine, Runtime, write_compiled
from luciole.engines.device import torch_machine


class Some(nn.Module):
    """The outputs of a module from `first` up to `last`."""

    def __init__(self, module: nn.Module, first: int, last: int) -> None:
        super().__init__()
        self.module, self._first, self._last = module, first, last

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """As the module, but not everything."""
        answer = self.module(*given)
        answers: tuple[Tensor, ...] = answer if isinstance(answer, tuple) else (answer,)
        return answers[self._first : self._last]


@dataclass(frozen=True, config={"extra": "forbid"})
class Aoti:
    """How to compile, for `device` cpu or cuda; `unrounded` graphs stay in fp32."""

    device: Literal["cpu", "cuda"]
    precision: Precision
    unrounded: tuple[str, ...] = ()
    tolerance: float = 0.05
    """Largest relative error of what was compiled against torch in fp32."""
    max_autotune: bool = False

    def machine(self) -> Machine:
        """What the engines will be bound to; EngineError without the device."""
        return torch_machine(self.device)

    def compile(
        self,
        graphs: Sequence[Graph],
        room: Room,
        example: Mapping[str, int],
        folder: Path,
        step: Callable[[str], None],
    ) -> None:
        """Write `<folder>/aoti/`: a package for each graph, and engines.json.

        Sizes may vary as in the ONNX graphs, whatever `room` there is; `example` sizes guide the
        tracing. The graphs' modules are rounded in place, and go to the device.
        """
        machine, out = self.machine(), folder / Runtime.AOTI
        out.mkdir()
        made: dict[str, CompiledGraph] = {}
        for one in rounded(graphs, self.precision, self.unrounded, example):
            for name, part in _parts(one.graph):
                step(f"compiling {name} for {self.device}")
                file = out / f"{name}.pt2"
                self._package(part, example, file)
                found = self._answers(part, file, one.inputs)
                made[name] = CompiledGraph(
                    file=f"{Runtime.AOTI}/{name}.pt2",
                    precision=one.precision,
                    relative_error=one.error(found, self.tolerance),
                )
        write_compiled(Compiled(machine=machine, graphs=made), out)

    def _package(self, graph: Graph, example: Mapping[str, int], file: Path) -> None:
        module = graph.module.eval().to(self.device)
        inputs = tuple(one.to(self.device) for one in graph.inputs(example))
        with torch.no_grad(), warnings.catch_warnings():
            # Inductor's own calls, when it is first loaded.
            for kind in (DeprecationWarning, FutureWarning):
                warnings.filterwarnings("ignore", category=kind)
            shapes = graph.dynamic_shapes(graph.tensors)
            program = torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
            settings = {"max_autotune": self.max_autotune}
            aoti_compile_and_package(program, package_path=str(file), inductor_configs=settings)

    def _answers(
        self, graph: Graph, file: Path, inputs: Sequence[Tensor]
    ) -> dict[str, NDArray[Any]]:
        """What the package makes of them, by output."""
        load: Any = aoti_load_package
        found = load(str(file))(*(one.to(self.device) for one in inputs))
        named = zip(graph.spec.outputs, found, strict=True)
        return {tensor.name: one.cpu().numpy() for tensor, one in named}


def _parts(graph: Graph) -> Iterator[tuple[str, Graph]]:
    """The graphs that share a module, each with a module of its own outputs."""
    first = 0
    for name, spec in graph.specs.items():
        last = first + len(spec.outputs)
        part: Any = Some(graph.module, first, last)
        yield name, replace(graph, name=name, spec=spec, module=part, beside=None)
        first = last
