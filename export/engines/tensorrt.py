"""Builds TensorRT engines: on a GPU for that GPU, or ahead of time with TensorRT-RTX on any CPU.

Networks are strongly typed: an engine computes in the types of the ONNX graph that it came from.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from export.engines.precision import Precision, rounded
from export.engines.profiles import Room
from export.graphs import Graph
from export.onnx import OnnxTarget
from export.parity import answers
from luciole.compiled import (
    Compiled,
    CompiledGraph,
    Machine,
    ProfileSpec,
    Runtime,
    write_compiled,
)
from luciole.domain import BundleError, InvalidRequest
from luciole.engines.tensorrt import RTX, library, tensorrt_machine

GIB = 2**30


@dataclass(frozen=True, config={"extra": "forbid"})
class TensorRt:
    """How to build; `runtime` is tensorrt or tensorrt_rtx.

    `unrounded` graphs stay in fp32: SDXL's autoencoder overflows in fp16. `capabilities`, such as
    SM89, are what TensorRT-RTX builds for; TensorRT builds for the GPU at hand.
    """

    runtime: Literal[Runtime.TENSORRT, Runtime.TENSORRT_RTX]
    precision: Precision
    unrounded: tuple[str, ...] = ()
    tolerance: float = 0.05
    """Largest relative error of a rounded graph, in torch, against fp32."""
    windows: int = 8
    slots: int = 1025
    workspace_gib: float | None = None
    optimization_level: int = 3
    timing_cache: Path | None = None
    capabilities: tuple[str, ...] = ()

    def machine(self) -> Machine:
        """What the engines will be bound to; EngineError where this machine cannot build."""
        trt = library(self.runtime)
        if self.runtime is Runtime.TENSORRT:
            return tensorrt_machine(self.runtime)
        there = sorted(name for name in trt.ComputeCapability.__members__ if name[:2] == "SM")
        unknown = ", ".join(name for name in self.capabilities if name not in there)
        if unknown or not self.capabilities:
            words = f"must be some of {', '.join(there)}, not {unknown or 'empty'}"
            raise InvalidRequest("target.engines.capabilities", words)
        return Machine(
            library=self.runtime,
            version=trt.__version__,
            device=RTX,
            capability=" ".join(self.capabilities),
        )

    def compile(
        self,
        graphs: Sequence[Graph],
        room: Room,
        example: Mapping[str, int],
        folder: Path,
        step: Callable[[str], None],
    ) -> None:
        """Write `<folder>/<runtime>/`: an engine for each graph, and engines.json.

        `folder` holds the ONNX graphs in fp32; those of another precision are traced again, guided
        by the `example` sizes, and their modules are rounded in place.
        """
        machine, out = self.machine(), folder / self.runtime
        out.mkdir()
        built: dict[str, CompiledGraph] = {}
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".typed.") as typed:
            for one in rounded(graphs, self.precision, self.unrounded, example):
                place = folder
                if one.precision is not Precision.FP32:
                    place = Path(typed)
                    OnnxTarget().write(one.graph, dict(example), place)
                off = one.error(answers(one.graph, one.inputs), self.tolerance)
                profiles = room.profiles(one.graph, self.windows, self.slots)
                for name, spec in one.graph.specs.items():
                    step(f"building {name} for {self.runtime}")
                    plan = self._plan(place / spec.file, profiles)
                    (out / f"{name}.plan").write_bytes(plan)
                    built[name] = CompiledGraph(
                        file=f"{self.runtime}/{name}.plan",
                        precision=one.precision,
                        relative_error=off,
                        profiles=profiles,
                    )
        write_compiled(Compiled(machine=machine, graphs=built), out)

    def _plan(self, file: Path, profiles: Sequence[ProfileSpec]) -> Any:
        """A serialized engine; BundleError with the library's words."""
        trt = library(self.runtime)
        log = _log(trt)
        builder = trt.Builder(log)
        typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(typed)
        parser = trt.OnnxParser(network, log)
        if not parser.parse_from_file(str(file)):
            words = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
            raise BundleError(file.name, f"TensorRT cannot read it: {words}")
        config = self._config(trt, builder)
        for profile in profiles:
            config.add_optimization_profile(_profile(builder, network, profile))
        cache = self._cache(config)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise BundleError(file.name, f"TensorRT cannot build it: {log.last}")
        if cache is not None and self.timing_cache is not None:
            self.timing_cache.parent.mkdir(parents=True, exist_ok=True)
            self.timing_cache.write_bytes(cache.serialize())
        return plan

    def _config(self, trt: Any, builder: Any) -> Any:
        config = builder.create_builder_config()
        config.builder_optimization_level = self.optimization_level
        if self.workspace_gib is not None:
            room = int(self.workspace_gib * GIB)
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, room)
        if self.runtime is Runtime.TENSORRT_RTX:
            config.num_compute_capabilities = len(self.capabilities)
            for place, name in enumerate(self.capabilities):
                config.set_compute_capability(trt.ComputeCapability.__members__[name], place)
        return config

    def _cache(self, config: Any) -> Any:
        """What was timed before; TensorRT-RTX times nothing."""
        if self.timing_cache is None or self.runtime is Runtime.TENSORRT_RTX:
            return None
        there = self.timing_cache.is_file()
        cache = config.create_timing_cache(self.timing_cache.read_bytes() if there else b"")
        if not config.set_timing_cache(cache, ignore_mismatch=False):
            words = "is of another GPU or version; remove it"
            raise BundleError(str(self.timing_cache), words)
        return cache


def _profile(builder: Any, network: Any, spec: ProfileSpec) -> Any:
    profile = builder.create_optimization_profile()
    for place in range(network.num_inputs):
        name = network.get_input(place).name
        profile.set_shape(name, *spec.shapes[name])
    return profile


def _log(trt: Any) -> Any:
    """A logger that keeps the last error for ours."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = "it gave no reason"

        def log(self, severity: Any, words: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = words

    return Log()
