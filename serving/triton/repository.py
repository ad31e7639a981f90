"""Writes the folder that a Triton server loads: one Python-backed model for each ONNX graph."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODEL = Path(__file__).with_name("python_model.py")
_TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16", "int64": "TYPE_INT64"}


@dataclass(frozen=True)
class Port:
    """A named input or output; a word in `shape` is an axis of any length, batch comes first."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphModel:
    """All that Triton must be told of one graph; `files` maps what is read to its sha256."""

    name: str
    folder: Path
    graph: str
    files: Mapping[str, str]
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    max_batch: int
    options: Mapping[str, int] = field(default_factory=dict)
    """Attributes of onnxruntime's SessionOptions; enums as their integers."""
    entries: Mapping[str, str] = field(default_factory=dict)
    """Session configuration entries, such as whether idle threads spin."""
    providers: Sequence[str] = ("CPUExecutionProvider",)


def write(models: Sequence[GraphModel], target: Path) -> None:
    """Write a fresh model repository into `target`, replacing what an earlier start left."""
    if target.exists():
        shutil.rmtree(target)
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
        "options": dict(model.options),
        "entries": dict(model.entries),
        "providers": list(model.providers),
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


def _port(kind: str, port: Port) -> str:
    """Leave the batch axis out; the format has no scalar, so `[batch]` travels as `[batch, 1]`."""
    axes = port.shape[1:] or (1,)
    dims = ", ".join(str(axis) if isinstance(axis, int) else "-1" for axis in axes)
    return f'{kind} [ {{ name: "{port.name}" data_type: {_TYPES[port.dtype]} dims: [ {dims} ] }} ]'


def _text(value: Any) -> str:
    """Quote JSON as a protobuf text string."""
    return json.dumps(json.dumps(value))
