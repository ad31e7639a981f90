"""Runs TensorRT engines; torch holds their inputs and outputs on the GPU."""

import importlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from luciole.compiled import Machine, ProfileSpec, Runtime
from luciole.domain import EngineError
from luciole.engines.device import gpu

Shape = tuple[int, ...]
RTX = "NVIDIA RTX"
"""What TensorRT-RTX builds for: any of the same capability."""


def library(runtime: Runtime) -> Any:
    """TensorRT or TensorRT-RTX; EngineError says how to install it."""
    try:
        return importlib.import_module(runtime)
    except ImportError as error:
        package = runtime.replace("_", "-")
        words = f"is not installed ({error}); pip install {package}"
        raise EngineError(package, words) from error


def tensorrt_machine(runtime: Runtime) -> Machine:
    """What engines are bound to; EngineError without the library or a GPU."""
    version = library(runtime).__version__
    name, capability = gpu()
    if runtime is Runtime.TENSORRT_RTX:
        name, capability = RTX, f"SM{capability.replace('.', '')}"
    return Machine(library=runtime, version=version, device=name, capability=capability)


def fitting(profiles: Sequence[ProfileSpec], shapes: Mapping[str, Shape]) -> int | None:
    """The first profile that takes these shapes, None where none does."""
    for place, profile in enumerate(profiles):
        if all(_within(shape, profile.shapes[name]) for name, shape in shapes.items()):
            return place
    return None


def _within(shape: Shape, limits: tuple[Shape, Shape, Shape]) -> bool:
    least, _, most = limits
    return all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))


class TensorRtGraph:
    """One engine, with a context for each of its profiles; one call at a time."""

    def __init__(
        self, file: Path, runtime: Runtime, profiles: Sequence[ProfileSpec], outputs: Sequence[str]
    ) -> None:
        trt = library(runtime)
        self._log = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
        if self._engine is None:
            raise EngineError(file.name, f"{runtime} cannot load it; export again on this machine")
        self._profiles, self._outputs = profiles, outputs
        self._contexts: dict[int, Any] = {}
        self._lock = threading.Lock()

    def run(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name, on the GPU; EngineError for shapes that no profile takes."""
        shapes = {name: tuple(one.shape) for name, one in given.items()}
        place = fitting(self._profiles, shapes)
        if place is None:
            words = f"{shapes} is outside of what the engine was built for"
            raise EngineError("tensorrt", words)
        with self._lock:
            return self._call(place, given)

    def _call(self, place: int, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        stream = torch.cuda.current_stream()
        context = self._context(place, stream)
        for name, one in given.items():
            context.set_input_shape(name, tuple(one.shape))
            context.set_tensor_address(name, one.data_ptr())
        found = {
            name: torch.empty(tuple(context.get_tensor_shape(name)), device="cuda")
            for name in self._outputs
        }
        for name, one in found.items():
            context.set_tensor_address(name, one.data_ptr())
        if not context.execute_async_v3(stream.cuda_stream):
            raise EngineError("tensorrt", "the engine failed; its log says why")
        stream.synchronize()
        return found

    def _context(self, place: int, stream: Any) -> Any:
        """Made when its profile is first asked for."""
        if place not in self._contexts:
            context = self._engine.create_execution_context()
            context.set_optimization_profile_async(place, stream.cuda_stream)
            self._contexts[place] = context
        return self._contexts[place]
