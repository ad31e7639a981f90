"""Writes the ONNX graphs of a bundle."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.graphs import Graph, guided_sizes
from export.streamed import fill, tracing
from luciole.bundle import TensorSpec
from luciole.domain import BundleError

Files = tuple[str, ...]
LARGE = 256
"""Bytes above which a tensor lies beside the graph."""


@dataclass(frozen=True)
class OnnxTarget:
    """PyTorch's exporter (dynamo) with the opset that every runtime we aim at reads."""

    opset: int = 20
    optimize: bool = False

    def write(self, graph: Graph, example: dict[str, int], folder: Path) -> dict[str, Files]:
        """Write `<name>.onnx` and its weights beside it; by name, the files that hold them.

        `example` sizes only guide the tracing. Weights that another graph has written are not
        written again. BundleError if the exporter renamed, dropped or reordered an input or output.
        """
        with _quiet_exporter(), torch.no_grad(), tracing(graph.module):
            inputs = graph.inputs(example)
            program = torch.onnx.export(
                graph.module.eval(),
                inputs,
                dynamo=True,
                opset_version=self.opset,
                input_names=[tensor.name for tensor in graph.tensors],
                output_names=[tensor.name for tensor in graph.outputs],
                dynamic_shapes=graph.dynamic_shapes(graph.open_tensors),
                optimize=self.optimize,
                verbose=False,
            )
        if program is None:
            raise BundleError(graph.spec.file, "torch exported nothing")
        written = program.model.graph
        fill(program.model, graph.module)
        _slice_sequences(written)
        _name_axes(graph.spec.file, written.inputs, graph.open_tensors)
        _name_axes(graph.spec.file, written.outputs, graph.outputs)
        _strip(written)
        return save_all(_parts(program.model, graph), graph, folder)


def _parts(model: ir.Model, graph: Graph) -> dict[str, ir.Model]:
    """A model for each group of outputs."""
    parts = {}
    for name, spec in graph.specs.items():
        part = parts[name] = model.clone()
        kept = {tensor.name for tensor in spec.outputs}
        part.graph.outputs[:] = [value for value in part.graph.outputs if value.name in kept]
        RemoveUnusedNodesPass()(part)
    return parts


def save_all(parts: Mapping[str, ir.Model], graph: Graph, folder: Path) -> dict[str, Files]:
    """By name, the files that hold the weights; parts written later use the earlier ones'."""
    weights, files = set(graph.module.state_dict()), {}
    earlier = [] if graph.shares is None else [graph.shares]
    for name, spec in graph.specs.items():
        part = parts[name]
        for other in earlier:
            _share(part, folder / f"{other}.onnx", weights)
        files[name] = _save(part, spec.file, folder)
        earlier.append(name)
    return files


def _save(model: ir.Model, file: str, folder: Path) -> tuple[str, ...]:
    own = [
        value
        for value in model.graph.initializers.values()
        if value.const_value is not None
        and not isinstance(value.const_value, ir.ExternalTensor)
        and value.const_value.nbytes > LARGE
    ]
    tensors = [value.const_value for value in own if value.const_value is not None]
    if tensors:
        data = f"{file}.data"
        written = ir.external_data.convert_tensors_to_external(tensors, folder, data)
        for value, tensor in zip(own, written, strict=True):
            value.const_value = tensor
    ir.save(model, folder / file)
    stored = [value.const_value for value in model.graph.initializers.values()]
    files = {str(t.location) for t in stored if isinstance(t, ir.ExternalTensor)}
    return tuple(sorted(files))


def _share(model: ir.Model, written: Path, weights: set[str]) -> None:
    """Let weights of the same name and shape be those that were written before."""
    there = {
        name: value.const_value
        for name, value in ir.load(written).graph.initializers.items()
        if name in weights and isinstance(value.const_value, ir.ExternalTensor)
    }
    for name, value in model.graph.initializers.items():
        mine, other = value.const_value, there.get(name)
        if mine is not None and other is not None and mine.shape == other.shape:
            value.const_value = other


def _name_axes(file: str, values: Sequence[ir.Value], tensors: Sequence[TensorSpec]) -> None:
    """Give varying axes the contract's names instead of the exporter's expressions."""
    names, expected = [value.name for value in values], [tensor.name for tensor in tensors]
    if names != expected:
        raise BundleError(file, f"came out with tensors {names}, expected {expected}")
    for value, tensor in zip(values, tensors, strict=True):
        found = value.shape
        fixed = [] if found is None else [isinstance(axis, int) for axis in found]
        if fixed != [isinstance(axis, int) for axis in tensor.shape]:
            raise BundleError(file, f"{tensor.name} came out as {found}, not {tensor.shape}")
        value.shape = ir.Shape(tensor.shape)


def _slice_sequences(graph: ir.Graph) -> None:
    """torch's `chunk` comes out as a sequence, which TensorRT has not: let each part be a Slice."""
    for node in [node for node in graph.all_nodes() if node.op_type == "SplitToSequence"]:
        axis = node.attributes.get_int("axis", 0)
        size = int(_constant(node, node.inputs[1]))
        taken = [use.node for use in node.outputs[0].uses()]
        for one in taken:
            first = size * int(_constant(one, one.inputs[1]))
            bounds = [ir.tensor([bound]) for bound in (first, first + size, axis)]
            limits = [ir.node("Constant", [], {"value": bound}) for bound in bounds]
            part = ir.node("Slice", [node.inputs[0], *(limit.outputs[0] for limit in limits)])
            graph.insert_before(node, [*limits, part])
            ir.convenience.replace_all_uses_with(one.outputs[0], part.outputs[0])
        graph.remove([*taken, node], safe=True)


def _constant(node: ir.Node, value: ir.Value | None) -> NDArray[Any]:
    """BundleError where a chunk's size or place is not fixed."""
    found = None if value is None else ir.convenience.get_const_tensor(value)
    if found is None:
        raise BundleError(node.name or node.op_type, "depends on the input, which no engine takes")
    return found.numpy()


def _strip(graph: ir.Graph) -> None:
    """Drop source traces, which name this machine's paths, and shapes in the exporter's own axis
    names; runtimes infer theirs.
    """
    outputs = set(graph.outputs)
    for node in graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in outputs and value.shape is not None and not value.shape.is_static():
                value.shape = None


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without the exporter's notes on torchvision, shared axes and its own old calls."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*The axis name", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def example_sizes(latents: int, multiple: int, window: int) -> dict[str, int]:
    """Sizes to trace with: all different, none of 1, so that the exporter takes none for fixed."""
    return {
        "batch": 2,
        "height": latents,
        "width": latents + multiple,
        "tokens": 2 * window,
        "slots": 7,
        **guided_sizes(identities=3, tokens=5, anchors=6),
    }
