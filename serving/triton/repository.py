"""Writes the folder that a Triton server loads: one Python-backed model for each ONNX graph."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luciole.bundle import Bundle, TensorSpec

MODEL = Path(__file__).with_name("python_model.py")
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


def models_of(bundle: Bundle, threads: int, bank: Path) -> list[GraphModel]:
    """Describe every graph of a bundle; weights beside a graph bear its file's name and more.

    `bank` is the folder of the style bank's files.
    """
    manifest = bundle.manifest
    return [
        GraphModel(
            name=name,
            folder=bundle.path,
            graph=spec.file,
            files={f: h for f, h in manifest.files.items() if f.startswith(spec.file)},
            inputs=spec.inputs,
            outputs=spec.outputs,
            max_batch=manifest.sizes.max_batch,
            threads=threads,
            resident={port.name: bank / f"{port.name}.npy" for port in spec.resident},
        )
        for name, spec in manifest.graphs.items()
    ]


def write(models: Sequence[GraphModel], target: Path) -> None:
    """Write a model repository into `target`, a folder that is new or empty."""
    for model in models:
        place = target / model.name / "1"
        place.mkdir(parents=True)
        shutil.copyfile(MODEL, place / "model.py")
        (place.parent / "config.pbtxt").write_text(config(model))


def config(model: GraphModel) -> str:
    """Return the whole of config.pbtxt: the server is told not to complete it by itself."""
    settings = {
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


def _port(kind: str, port: TensorSpec) -> str:
    """Leave the batch axis out; the format has no scalar, so `[batch]` travels as `[batch, 1]`."""
    axes = port.shape[1:] or (1,)
    dims = ", ".join(str(axis) if isinstance(axis, int) else "-1" for axis in axes)
    return f'{kind} [ {{ name: "{port.name}" data_type: {_TYPES[port.dtype]} dims: [ {dims} ] }} ]'


def _text(value: Any) -> str:
    """Quote JSON as a protobuf text string."""
    return json.dumps(json.dumps(value))
