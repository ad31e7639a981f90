"""Writes the folder that a Triton server loads: a model for each graph.

Python-backed models run everywhere. Graphs without a bank need none where the server has a backend
for them: NVIDIA's container has onnxruntime's and TensorRT's.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luciole.bundle import Bundle, GraphSpec, TensorSpec
from luciole.compiled import Compiled, CompiledGraph, Runtime
from luciole.domain import InvalidRequest
from luciole.engines.bank import LOADS

MODEL = Path(__file__).with_name("python_model.py")
GENERATE = Path(__file__).with_name("generate_model.py")
SOURCE = Path(__file__).parents[2] / "src"
_TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16", "int64": "TYPE_INT64"}


@dataclass(frozen=True)
class GraphModel:
    """All that Triton must be told of one graph; `files` maps what is read to its sha256."""

    name: str
    folder: Path
    graph: str
    files: Mapping[str, str]
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    max_batch: int
    threads: int = 0
    """For one operation; 0 is one per core."""
    resident: Mapping[str, Path] = field(default_factory=dict)
    """Inputs that no call brings: arrays in files that are mapped, and change in place."""
    loads: Path | None = None
    """Counts how often each place of them was written to."""
    runtime: Runtime = Runtime.ONNX
    native: Path | None = None
    """What a backend of the server's own runs, instead of Python; weights lie beside it."""
    profiles: int = 0
    """Of a TensorRT engine."""


def models_of(
    bundle: Bundle, threads: int, bank: Path, runtime: Runtime = Runtime.ONNX, native: bool = False
) -> list[GraphModel]:
    """Describe every graph of a bundle.

    `bank` is the folder of the style bank's files. With a `runtime` other than onnx, models run
    what was compiled for it; BundleError if nothing was. With `native`, graphs without a bank are
    left to the server's own backends.
    """
    compiled = None if runtime is Runtime.ONNX else Compiled.read(bundle, runtime)
    engines = {} if compiled is None else compiled.graphs
    if native and runtime in (Runtime.AOTI, Runtime.OPENVINO):
        raise InvalidRequest("native", f"no backend of Triton's runs what target={runtime} makes")
    manifest = bundle.manifest
    return [
        GraphModel(
            name=name,
            folder=bundle.path,
            graph=spec.file,
            files={file: manifest.files[file] for file in _files(spec, engines.get(name))},
            inputs=spec.inputs,
            outputs=spec.outputs,
            max_batch=manifest.sizes.max_batch,
            threads=threads,
            resident=_resident(spec, bank),
            loads=bank / LOADS if spec.bank else None,
            runtime=runtime,
            native=bundle.file(engines[name].file if engines else spec.file)
            if native and not spec.bank
            else None,
            profiles=len(engines[name].profiles) if engines else 0,
        )
        for name, spec in manifest.graphs.items()
    ]


def _files(spec: GraphSpec, made: CompiledGraph | None) -> Sequence[str]:
    """What a model reads: the graph with its weights, or what was compiled from it."""
    return spec.files if made is None or made.file == spec.file else (made.file,)


def _resident(spec: GraphSpec, folder: Path) -> dict[str, Path]:
    if spec.bank is None:
        return {}
    return {port.name: folder / f"{spec.bank.name}_{port.name}.npy" for port in spec.resident}


def write(models: Sequence[GraphModel], target: Path) -> None:
    """Write a model repository into `target`, a folder that is new or empty."""
    for model in models:
        place = target / model.name / "1"
        place.mkdir(parents=True)
        if model.native is None:
            shutil.copyfile(MODEL, place / "model.py")
        else:
            shutil.copyfile(model.native, place / f"model{model.native.suffix}")
            for weights in model.files if model.runtime is Runtime.ONNX else ():
                if weights != model.graph:
                    shutil.copyfile(model.folder / weights, place / weights)
        (place.parent / "config.pbtxt").write_text(config(model))


@dataclass(frozen=True)
class PipelineModel:
    """The model `generate`: the pipeline inside the server, with places of the bank for its own."""

    bundle: Bundle
    bank: Path
    places: range
    at_once: int = 16
    """Pictures that are drawn at a time; four times as many are taken on."""


def write_pipeline(model: PipelineModel, target: Path) -> None:
    """Add `generate` to a repository."""
    place = target / "generate" / "1"
    place.mkdir(parents=True)
    shutil.copyfile(GENERATE, place / "model.py")
    settings = {
        "folder": str(model.bundle.path.resolve()),
        "source": str(SOURCE),
        "bank": str(model.bank.resolve()),
        "places": [model.places.start, model.places.stop],
        "at_once": model.at_once,
    }
    lines = [
        'name: "generate"',
        'backend: "python"',
        "max_batch_size: 0",
        "model_transaction_policy { decoupled: true }",
        'input [ { name: "plan" data_type: TYPE_STRING dims: [ 1 ] },',
        '{ name: "pictures" data_type: TYPE_STRING dims: [ -1 ] optional: true } ]',
        'output [ { name: "event" data_type: TYPE_STRING dims: [ 1 ] },',
        '{ name: "picture" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]',
        "instance_group [ { count: 1 kind: KIND_CPU } ]",
        f'parameters [ {{ key: "luciole" value {{ string_value: {_text(settings)} }} }} ]',
    ]
    (place.parent / "config.pbtxt").write_text("\n".join(lines) + "\n")


def config(model: GraphModel) -> str:
    """Return the whole of config.pbtxt: the server is told not to complete it by itself."""
    if model.native is not None:
        return _native_config(model)
    settings = {
        "name": model.name,
        "runtime": model.runtime,
        "source": str(SOURCE),
        "loads": str(model.loads.resolve()) if model.loads else None,
        "folder": str(model.folder.resolve()),
        "graph": model.graph,
        "files": dict(model.files),
        "ranks": {port.name: len(port.shape) for port in model.inputs},
        "threads": model.threads,
        "resident": {name: str(file.resolve()) for name, file in model.resident.items()},
    }
    lines = [
        f'name: "{model.name}"',
        'backend: "python"',
        f"max_batch_size: {model.max_batch}",
        *(_port("input", port) for port in model.inputs),
        *(_port("output", port) for port in model.outputs),
        "instance_group [ { count: 1 kind: KIND_CPU } ]",
        "dynamic_batching { default_queue_policy { max_queue_size: 256 } }",
        f'parameters [ {{ key: "luciole" value {{ string_value: {_text(settings)} }} }} ]',
    ]
    return "\n".join(lines) + "\n"


def _native_config(model: GraphModel) -> str:
    """For the server's own backends; an engine's profiles are chosen by the shapes of a call."""
    if model.runtime is Runtime.ONNX:
        backend, group = "onnxruntime", "count: 1"
    else:
        profiles = ", ".join(f'"{place}"' for place in range(model.profiles))
        backend, group = "tensorrt", f"count: 1 kind: KIND_GPU profile: [ {profiles} ]"
    lines = [
        f'name: "{model.name}"',
        f'backend: "{backend}"',
        f"max_batch_size: {model.max_batch}",
        *(_port("input", port, scalars=True) for port in model.inputs),
        *(_port("output", port, scalars=True) for port in model.outputs),
        f"instance_group [ {{ {group} }} ]",
        "dynamic_batching { default_queue_policy { max_queue_size: 256 } }",
    ]
    return "\n".join(lines) + "\n"


def _port(kind: str, port: TensorSpec, scalars: bool = False) -> str:
    """Leave the batch axis out; the format has no scalar, so `[batch]` travels as `[batch, 1]`.

    With `scalars` the server turns it into `[batch]` before a backend sees it.
    """
    axes = port.shape[1:] or (1,)
    dims = ", ".join(str(axis) if isinstance(axis, int) else "-1" for axis in axes)
    told = f'name: "{port.name}" data_type: {_TYPES[port.dtype]} dims: [ {dims} ]'
    bare = " reshape: { shape: [ ] }" if scalars and len(port.shape) == 1 else ""
    return f"{kind} [ {{ {told}{bare} }} ]"


def _text(value: Any) -> str:
    """Quote JSON as a protobuf text string."""
    return json.dumps(json.dumps(value))
