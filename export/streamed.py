"""Models whose weights stay in their files until a graph is written: memory holds one at a time."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from luciole.domain import BundleError, LucioleError

PREFIX = "text_model."
"""CLIP's files have it or not, by the age of the library that wrote them."""
MODE = FakeTensorMode(allow_non_fake_inputs=True)
"""Weights are shapes without values in it."""


class WeightsError(LucioleError):
    """A file's weights are not those of the model; `field` is the folder."""

    code = "invalid_model_folder"


@dataclass(frozen=True)
class Stored:
    """Where a weight's values lie."""

    file: Path
    key: str

    def values(self) -> Tensor:
        """As they are stored."""
        with safe_open(self.file, "pt") as stored:
            found: Tensor = stored.get_tensor(self.key)
        return found

    def read(self) -> ir.TensorProtocol:
        """In fp32."""
        return ir.tensor(np.ascontiguousarray(self.values().float().numpy()))


def streamed(build: Callable[[], Any], folder: Path) -> Any:
    """The module that `build` makes, without values, over the safetensors files in a folder.

    WeightsError names a weight that is missing there, too many, or of another shape.
    """
    with init_empty_weights(include_buffers=False):
        module = build()
    stored = dict(_stored(folder))
    for name, weight in list(module.named_parameters()):
        place = stored.pop(name.removeprefix(PREFIX), None)
        if place is None:
            raise WeightsError(str(folder), f"lacks {name}")
        _check_shape(folder, name, place, tuple(weight.shape))
        owner, _, last = name.rpartition(".")
        with MODE:
            hollow = nn.Parameter(torch.empty(weight.shape), requires_grad=False)
        hollow.stored = place  # type: ignore[attr-defined]
        setattr(module.get_submodule(owner), last, hollow)
    buffers = {name.removeprefix(PREFIX) for name, _ in module.named_buffers()}
    if strangers := sorted(stored.keys() - buffers):
        raise WeightsError(str(folder), f"has {strangers[0]}, which the model has not")
    return module


def fill(model: ir.Model, module: nn.Module) -> None:
    """Let a graph's weights be read from their files when they are written.

    BundleError for one that is in no file.
    """
    weights = dict(module.named_parameters(remove_duplicate=False))
    for name, value in model.graph.initializers.items():
        if not isinstance(getattr(value.const_value, "raw", None), torch._subclasses.FakeTensor):
            continue
        place = stored_of(weights.get(name))
        if place is None:
            raise BundleError(name, "is a weight that lies in no file")
        shape = ir.Shape(weights[name].shape)
        value.const_value = ir.LazyTensor(place.read, ir.DataType.FLOAT, shape, name=name)


def stored_of(weight: Tensor | None) -> Stored | None:
    """Where a weight of a streamed module lies; None for any other."""
    return getattr(weight, "stored", None)


def is_streamed(module: nn.Module) -> bool:
    """Whether a module's weights are in files."""
    return any(stored_of(weight) is not None for weight in module.parameters())


def streamed_hash(module: nn.Module) -> str:
    """As `luciole.adapters.lora_file.weights_hash`, with one weight in memory at a time."""
    digest = hashlib.sha256()
    for name, weight in sorted(module.named_parameters()):
        place = stored_of(weight)
        if place is None:
            raise WeightsError(name, "is a weight that lies in no file")
        digest.update(name.encode() + place.values().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def tracing(module: nn.Module) -> contextlib.AbstractContextManager[Any]:
    """What a module must be traced in."""
    return MODE if is_streamed(module) else contextlib.nullcontext()


def _stored(folder: Path) -> Iterator[tuple[str, Stored]]:
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for key in opened.keys():  # noqa: SIM118 - it is no mapping
                yield key.removeprefix(PREFIX), Stored(file, key)


def _check_shape(folder: Path, name: str, place: Stored, shape: tuple[int, ...]) -> None:
    with safe_open(place.file, "pt") as opened:
        found = tuple(opened.get_slice(place.key).get_shape())
    if found != shape:
        raise WeightsError(str(folder), f"{name} has shape {found}, the model's is {shape}")
