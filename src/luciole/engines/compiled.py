"""The engine for graphs that were compiled for this machine: AOTInductor's or TensorRT's.

It needs torch, which holds what goes in and comes out; so a service runs it inside Triton.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luciole.bundle import Bundle
from luciole.compiled import Compiled, Machine, Runtime
from luciole.engines.aoti import AotiGraph
from luciole.engines.device import CPU, DeviceBank, torch_machine
from luciole.engines.protocol import STYLE_SLOTS, graph_spec
from luciole.engines.sessions import SessionEngine
from luciole.engines.tensorrt import TensorRtGraph, tensorrt_machine


class RunningGraph(Protocol):
    """A graph that is loaded on a device."""

    def run(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name."""
        ...


class TorchSession:
    """A compiled graph, asked with arrays as an ONNX Runtime session is."""

    def __init__(
        self,
        graph: RunningGraph,
        device: str,
        resident: Mapping[str, NDArray[Any]],
        loads: NDArray[np.int64] | None,
    ) -> None:
        """`resident` arrays are the graph's bank, if it has any, and `loads` counts its changes."""
        self._graph, self._device = graph, device
        self._bank: DeviceBank | None = None
        self._resident: dict[str, Tensor] = {}
        if device == CPU:
            self._resident = {name: torch.from_numpy(one) for name, one in resident.items()}
        elif loads is not None:
            self._bank = DeviceBank(resident, loads, device)

    def run(self, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs, in order."""
        with torch.inference_mode():
            given = {name: torch.from_numpy(one).to(self._device) for name, one in feed.items()}
            given |= self._resident
            if self._bank is not None:
                given |= self._bank.tensors(feed["style_slot"])
            found = self._graph.run(given)
            return [found[name].cpu().numpy() for name in outputs]


def machine_of(runtime: Runtime, device: str) -> Machine:
    """This one, as engines for that runtime are bound to it."""
    return torch_machine(device) if runtime is Runtime.AOTI else tensorrt_machine(runtime)


def open_session(
    bundle: Bundle,
    runtime: Runtime,
    graph: str,
    resident: Mapping[str, NDArray[Any]],
    loads: NDArray[np.int64] | None,
) -> TorchSession:
    """One graph, ready to run where it was compiled for; arguments as TorchSession's.

    BundleError where nothing was compiled for the runtime, or it was for another machine.
    """
    compiled = Compiled.read(bundle, runtime)
    device = CPU if compiled.machine.device == CPU else "cuda"
    compiled.check(machine_of(runtime, device), runtime)
    spec, made = graph_spec(bundle, graph), compiled.graphs[graph]
    file, outputs = bundle.file(made.file), [tensor.name for tensor in spec.outputs]
    running: RunningGraph
    if runtime is Runtime.AOTI:
        running = AotiGraph(file, [t.name for t in spec.inputs + spec.resident], outputs)
    else:
        running = TensorRtGraph(file, runtime, made.profiles, outputs)
    return TorchSession(running, device, resident, loads)


class CompiledEngine(SessionEngine):
    """Runs a bundle's compiled graphs in this process; each is loaded when it is first needed."""

    def __init__(self, bundle: Bundle, runtime: Runtime, style_slots: int = STYLE_SLOTS) -> None:
        """BundleError where nothing was compiled for the runtime."""
        Compiled.read(bundle, runtime)
        super().__init__(bundle, style_slots)
        self._runtime = runtime

    def _load(
        self, graph: str, resident: Mapping[str, NDArray[Any]], loads: NDArray[np.int64] | None
    ) -> TorchSession:
        return open_session(self.bundle, self._runtime, graph, resident, loads)
