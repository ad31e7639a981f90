"""What a Triton server is told of each graph, read by the format's own parser."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from luciole.bundle import Bundle, TensorSpec
from luciole.compiled import Runtime
from luciole.domain import BundleError
from serving.triton.repository import GraphModel, config, models_of, write


def parsed(text: str) -> ModelConfig:
    return text_format.Parse(text, ModelConfig())


def net(tmp_path: Path, runtime: Runtime, file: str) -> GraphModel:
    """A control net, which has a number for each row."""
    (tmp_path / file).write_bytes(b"graph")
    return GraphModel(
        name="controlnet_pose",
        folder=tmp_path,
        graph="controlnet_pose.onnx",
        files={},
        inputs=[
            TensorSpec(name="latents", dtype="float32", shape=("batch", 4, "height", "width")),
            TensorSpec(name="timestep", dtype="float32", shape=("batch",)),
        ],
        outputs=[TensorSpec(name="mid", dtype="float32", shape=("batch", 8, "height/2", 3))],
        max_batch=16,
        runtime=runtime,
        native=tmp_path / file,
        profiles=2,
    )


def test_onnxruntimes_backend_gets_a_number_for_each_row_as_the_graph_has_it(
    tmp_path: Path,
) -> None:
    told = parsed(config(net(tmp_path, Runtime.ONNX, "controlnet_pose.onnx")))
    latents, timestep = told.input
    assert (told.backend, told.max_batch_size) == ("onnxruntime", 16)
    assert list(latents.dims) == [4, -1, -1]
    assert not latents.HasField("reshape")
    assert (list(timestep.dims), timestep.HasField("reshape")) == ([1], True)
    assert list(timestep.reshape.shape) == []
    assert list(told.output[0].dims) == [8, -1, 3]
    assert told.dynamic_batching.default_queue_policy.max_queue_size == 256


def test_tensorrts_backend_chooses_among_all_profiles_on_a_gpu(tmp_path: Path) -> None:
    model = net(tmp_path, Runtime.TENSORRT, "controlnet_pose.plan")
    (group,) = parsed(config(model)).instance_group
    assert parsed(config(model)).backend == "tensorrt"
    assert (group.kind, list(group.profile)) == (ModelInstanceGroup.KIND_GPU, ["0", "1"])
    write([model], tmp_path / "models")
    place = tmp_path / "models" / "controlnet_pose" / "1"
    assert [file.name for file in place.iterdir()] == ["model.plan"]


def test_graphs_without_a_bank_go_to_the_servers_backends_and_the_others_to_python(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    models = models_of(tiny_bundle, 1, tmp_path / "bank", native=True)
    write(models, tmp_path / "models")
    backends = {model.name: parsed(config(model)).backend for model in models}
    assert backends == {
        "text_encoder": "python",
        "denoiser": "python",
        "vae_decoder": "onnxruntime",
        "vae_encoder": "onnxruntime",
    }
    place = tmp_path / "models" / "vae_decoder" / "1"
    copied = {"model.onnx": "vae_decoder.onnx", "vae_decoder.onnx.data": "vae_decoder.onnx.data"}
    assert {file.name for file in place.iterdir()} == set(copied)
    for mine, theirs in copied.items():
        assert (place / mine).read_bytes() == (tiny_bundle.path / theirs).read_bytes()
    assert {file.name for file in (tmp_path / "models" / "denoiser" / "1").iterdir()} == {
        "model.py"
    }


def test_a_runtime_for_which_nothing_was_compiled_is_refused(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="python -m export target=tensorrt"):
        models_of(tiny_bundle, 1, tmp_path, Runtime.TENSORRT)
