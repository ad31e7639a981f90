"""Graphs whose linear layers have weights of eight bits, for processors that multiply them fast."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxscript.optimizer import fold_constants

from export.graphs import Graph
from export.onnx import Files, OnnxTarget, save_all

WHOLE = 1 << 30
"""Elements up to which a weight is turned as its layer wants it before it is rounded."""


@dataclass(frozen=True)
class Int8Target(OnnxTarget):
    """Weights in int8 with a scale for each output channel, inputs rounded as they come.

    Convolutions, norms and the styles' bank stay in fp32: on a CPU int8 convolutions are slower.
    What it costs is in parity.json; give `tolerance` what you can bear.
    """

    def write(self, graph: Graph, example: dict[str, int], folder: Path) -> dict[str, Files]:
        """As in fp32, then rounded."""
        data = {file for files in super().write(graph, example, folder).values() for file in files}
        rounded = {name: _rounded(folder / spec.file) for name, spec in graph.specs.items()}
        for file in data & {f"{spec.file}.data" for spec in graph.specs.values()}:
            (folder / file).unlink()
        return save_all(rounded, graph, folder)


def _rounded(file: Path) -> ir.Model:
    """The graph in memory, with its data."""
    model = ir.external_data.load_to_model(ir.load(file))
    with _quiet():
        fold_constants(model, input_size_limit=WHOLE, output_size_limit=WHOLE)
        with tempfile.TemporaryDirectory() as place:
            whole, written = Path(place) / "whole.onnx", Path(place) / "int8.onnx"
            onnx.save(ir.to_proto(model), whole)
            quantize_dynamic(
                whole,
                written,
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
            return ir.from_proto(onnx.load(written))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice of a library that does not know where its input came from."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
