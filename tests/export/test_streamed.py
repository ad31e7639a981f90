"""Models whose weights stay in files: what is written is the same, byte for byte."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from export.bundle import Export, check_graphs
from export.engines.aoti import Aoti
from export.engines.precision import Precision
from export.folder import load_folder
from export.graphs import tensor_spec, vae_encoder
from export.onnx import OnnxTarget, example_sizes
from export.streamed import WeightsError, is_streamed, streamed, streamed_hash
from luciole.adapters.lora_file import weights_hash
from luciole.domain import BundleError, InvalidRequest


def test_a_streamed_export_is_byte_for_byte_that_of_weights_in_memory(
    tiny_folder: Path, tmp_path: Path
) -> None:
    written = []
    for stream in (False, True):
        folder = load_folder(tiny_folder, stream)
        place = tmp_path / str(stream)
        place.mkdir()
        graph = vae_encoder(folder)
        assert is_streamed(graph.module) == stream
        OnnxTarget().write(graph, example_sizes(16, 4, 77), place)
        files = sorted(place.iterdir())
        written.append({one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files})
    assert set(written[0]) == {"vae_encoder.onnx", "vae_encoder.onnx.data"}
    assert written[0] == written[1]


def test_the_hash_by_which_styles_know_their_base_is_the_same(tiny_folder: Path) -> None:
    loaded, left = (load_folder(tiny_folder, stream).unet for stream in (False, True))
    assert streamed_hash(left) == weights_hash(loaded)


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("1.bias"), "lacks 1.bias"),
        (lambda weights: weights.update({"2.bias": torch.zeros(3)}), "has 2.bias, which the model"),
        (
            lambda weights: weights.update({"0.weight": torch.zeros(3, 3)}),
            r"0.weight has shape \(3, 3\), the model's is \(3, 2\)",
        ),
    ],
)
def test_weights_of_another_model_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    weights = dict(small().state_dict())
    save_file(weights, tmp_path / "model.safetensors")
    assert is_streamed(streamed(small, tmp_path))
    change(weights)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=words):
        streamed(small, tmp_path)


def test_what_the_checker_refuses_is_named(tmp_path: Path) -> None:
    port = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch"])
    specs = {"denoiser": tensor_spec("denoiser", [("x", "float32", "batch")], [])}
    for kind in ("Relu", "Nothing"):
        node = onnx.helper.make_node(kind, ["x"], ["x_out"])
        out = onnx.helper.make_tensor_value_info("x_out", onnx.TensorProto.FLOAT, ["batch"])
        graph = onnx.helper.make_graph([node], "small", [port], [out])
        onnx.save(onnx.helper.make_model(graph), tmp_path / "denoiser.onnx")
        if kind == "Relu":
            check_graphs(specs, tmp_path, lambda _: None)
    with pytest.raises(BundleError, match=r"denoiser\.onnx: ONNX's checker refuses it"):
        check_graphs(specs, tmp_path, lambda _: None)


def test_engines_are_not_compiled_of_weights_in_files(tiny_folder: Path, tmp_path: Path) -> None:
    engines = Aoti("cpu", Precision.FP32)
    work = Export(tiny_folder, tmp_path / "out", stream=True, engines=engines)
    with pytest.raises(InvalidRequest, match="stream: engines"):
        work.run()
