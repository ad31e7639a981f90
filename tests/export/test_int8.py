"""Graphs in int8: close to fp32, smaller, and rounded where it was said."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

from export.folder import load_folder
from export.graphs import text_encoder
from export.int8 import Int8Target
from export.onnx import OnnxTarget, example_sizes


def test_linear_layers_are_rounded_and_stay_close(tiny_folder: Path, tmp_path: Path) -> None:
    folder = load_folder(tiny_folder)
    graph = text_encoder(folder)
    example = example_sizes(folder.latent_size, folder.latent_multiple, folder.window)
    sizes = {"batch": 3, "slots": 2}
    inputs = graph.inputs(sizes, seed=3)
    names = [tensor.name for tensor in graph.tensors]
    feed = {name: one.numpy() for name, one in zip(names, inputs, strict=True)}
    answers, bytes_of = [], []
    for target, place in ((OnnxTarget(), tmp_path / "fp32"), (Int8Target(), tmp_path / "int8")):
        place.mkdir()
        files = target.write(graph, example, place)["text_encoder"]
        assert {file.name for file in place.iterdir()} == {"text_encoder.onnx", *files}
        bytes_of.append(sum((place / file).stat().st_size for file in files))
        session = ort.InferenceSession(str(place / "text_encoder.onnx"))
        answers.append(session.run(None, feed))
    with torch.inference_mode():
        exact = [answer.numpy() for answer in graph.module(*inputs)]
    for one, fp32, int8 in zip(exact, *answers, strict=True):
        scale = np.abs(one).max()
        assert np.abs(fp32 - one).max() / scale < 1e-5
        assert 1e-5 < np.abs(int8 - one).max() / scale < 0.1
    assert bytes_of[1] < bytes_of[0]
    nodes = onnx.load(tmp_path / "int8" / "text_encoder.onnx").graph.node
    assert {"MatMulInteger"} <= {node.op_type for node in nodes}
