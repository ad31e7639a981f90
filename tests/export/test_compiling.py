"""Engines compiled for one machine: TensorRT's as far as a CPU can, AOTInductor's."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from google.protobuf import json_format, text_format
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from torch import Tensor, nn
from tritonclient.grpc.model_config_pb2 import ModelConfig

from export.__main__ import CONF, export_of
from export.engines.aoti import Aoti
from export.engines.openvino import OpenVino
from export.engines.precision import Precision, rounded
from export.engines.profiles import Room
from export.engines.tensorrt import TensorRt
from export.folder import ModelFolder, load_folder
from export.graphs import Graph, bank_spec, batch_axis, slots_axis, style_rows, tensor_spec
from export.guides import Guides, all_graphs
from export.onnx import OnnxTarget, example_sizes
from export.parity import answers, relative_error
from luciole.bundle import MANIFEST, Bundle, hashes
from luciole.compiled import Compiled, Machine, Runtime
from luciole.domain import BundleError, EngineError
from luciole.engines.bank import Factors
from luciole.engines.compiled import CompiledEngine
from luciole.engines.onnx import OnnxEngine
from luciole.engines.openvino import openvino_machine
from luciole.engines.protocol import style_bank
from luciole.models.styled import StyleMix, wrap
from serving.probe import small_inputs
from serving.triton.repository import config, models_of
from tests.ready import ready

WITHOUT_RTX = importlib.util.find_spec("tensorrt_rtx") is None


@pytest.fixture(scope="module")
def folder(tiny_folder: Path) -> ModelFolder:
    return load_folder(tiny_folder)


@pytest.fixture(scope="module")
def graphs(folder: ModelFolder) -> dict[str, Graph]:
    made = all_graphs(folder, Guides(anchors=True)).graphs
    return {graph.name: graph for graph in made}


@pytest.fixture
def room(tiny_bundle: Bundle) -> Room:
    return Room(tiny_bundle.manifest.sizes, stride=8, window=77)


def quiet(_: str) -> None:
    """Progress that nobody looks at."""


def test_profiles_are_the_sizes_that_the_manifest_allows(
    graphs: dict[str, Graph], room: Room
) -> None:
    own, whole = room.profiles(graphs["denoiser_guided"], windows=8, slots=100)
    assert own.shapes["latents"] == ((1, 8, 16, 16), (2, 8, 16, 16), (16, 8, 16, 16))
    assert whole.shapes["latents"] == ((1, 8, 8, 8), (2, 8, 16, 16), (16, 8, 32, 32))
    assert whole.shapes["text_states"] == ((1, 77, 64), (2, 77, 64), (16, 616, 64))
    assert [shape[0] for shape in whole.shapes["bank_a"]] == [2, 33, 100]
    # An anchor has 16 tokens along an edge of the model's own size, here twice that at most.
    assert [shape[1] for shape in whole.shapes["anchor_0"]] == [1, 256, 1024]
    assert len(room.profiles(graphs["text_encoder"], 8, 100)) == 1


@pytest.mark.parametrize("name", ["text_encoder", "denoiser", "vae_decoder"])
def test_graphs_hold_no_sequences_which_tensorrt_has_not(tiny_bundle: Bundle, name: str) -> None:
    model = onnx.load(tiny_bundle.graph_file(name), load_external_data=False)
    assert not [node.op_type for node in model.graph.node if "Sequence" in node.op_type]


@pytest.mark.skipif(WITHOUT_RTX, reason="tensorrt_rtx is not installed: pip install tensorrt-rtx")
def test_tensorrt_builds_the_denoiser_for_a_gpu_that_is_not_here(
    graphs: dict[str, Graph], room: Room, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    for file in tiny_bundle.path.glob("denoiser.onnx*"):
        (tmp_path / file.name).symlink_to(file)
    build = TensorRt(Runtime.TENSORRT_RTX, Precision.FP32, capabilities=("SM89",))
    build.compile([graphs["denoiser"]], room, example_sizes(16, 4, 77), tmp_path, quiet)
    compiled = Compiled.model_validate_json((tmp_path / "tensorrt_rtx/engines.json").read_text())
    assert compiled.machine.capability == "SM89"
    denoiser = compiled.graphs["denoiser"]
    weights = (tiny_bundle.path / "denoiser.onnx.data").stat().st_size
    assert (tmp_path / denoiser.file).stat().st_size > weights
    assert denoiser.profiles == room.profiles(graphs["denoiser"], 8, 1025)


@pytest.mark.skipif(WITHOUT_RTX, reason="tensorrt_rtx is not installed: pip install tensorrt-rtx")
def test_what_tensorrt_cannot_read_is_named(
    graphs: dict[str, Graph], room: Room, tmp_path: Path
) -> None:
    (tmp_path / "vae_decoder.onnx").write_bytes(b"no graph")
    build = TensorRt(Runtime.TENSORRT_RTX, Precision.FP32, capabilities=("SM89",))
    with pytest.raises(BundleError, match=r"vae_decoder\.onnx: TensorRT cannot read it"):
        build.compile([graphs["vae_decoder"]], room, example_sizes(16, 4, 77), tmp_path, quiet)


@pytest.mark.parametrize(
    ("target", "words"),
    [("tensorrt", "tensorrt: is not installed"), ("aoti", "gpu: torch sees no GPU")],
)
def test_a_machine_that_cannot_compile_says_so_before_anything_is_exported(
    tmp_path: Path, target: str, words: str
) -> None:
    if importlib.util.find_spec(target) or torch.cuda.is_available():
        pytest.skip("this machine can")
    with initialize_config_dir(str(CONF), version_base=None):
        work = export_of(compose("export", [f"target={target}", f"out={tmp_path / 'out'}"]))
    with pytest.raises(EngineError, match=words):
        work.run()
    assert list(tmp_path.iterdir()) == []


def test_a_precision_that_is_none_fails_with_those_that_are() -> None:
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("export", ["target=tensorrt", "target.engines.precision=fp8"])
    with pytest.raises(InstantiationException, match="'fp32', 'fp16' or 'bf16'"):
        export_of(config)


def test_every_target_is_configured() -> None:
    with initialize_config_dir(str(CONF), version_base=None):
        made = {
            name: export_of(compose("export", [f"target={name}"])).engines
            for name in ("onnx", "tensorrt", "tensorrt_rtx", "aoti")
        }
    assert made["onnx"] is None
    assert isinstance(made["aoti"], Aoti)
    for name in ("tensorrt", "tensorrt_rtx"):
        build = made[name]
        assert isinstance(build, TensorRt)
        assert build.runtime == name
        assert "vae_decoder" in build.unrounded


class Small(nn.Module):
    """A layer that takes styles, and beside its answer what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = StyleMix()
        self.attentions = nn.Linear(6, 6)
        self.layers = wrap(self, ["attentions"], self.mix)

    def forward(
        self,
        latents: Tensor,
        style_slot: Tensor,
        style_weight: Tensor,
        bank_a: Tensor,
        bank_b: Tensor,
    ) -> tuple[Tensor, Tensor]:
        self.mix.gather(bank_a, bank_b, style_slot, style_weight)
        moved = self.attentions(latents)
        return moved.sigmoid(), latents.sum(1)


def small() -> Graph:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = Small()
    tokens = ("latents", "float32", "batch", "tokens", 6)
    bank = bank_spec("denoiser", module.layers)
    said = [("prediction", *tokens[1:])], [("seen_0", "float32", "batch", 6)]
    spec, beside = (
        tensor_spec(name, [tokens, *style_rows()], outputs, bank)
        for name, outputs in zip(("denoiser", "anchor_encoder"), said, strict=True)
    )
    axes = {"batch": batch_axis(), "tokens": torch.export.Dim("tokens", min=1, max=99)}
    return Graph("denoiser", module.eval(), spec, axes | {"slots": slots_axis()}, beside=beside)


SIZES = {"batch": 3, "tokens": 5, "slots": 7}


@pytest.fixture(scope="module")
def compiled(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    place = tmp_path_factory.mktemp("compiled")
    graph = small()
    room = Room(tiny_bundle.manifest.sizes, 8, 77)
    Aoti("cpu", Precision.FP32).compile([graph], room, SIZES, place, quiet)
    changes = {"graphs": graph.specs, "files": hashes(place)}
    return Bundle(place, tiny_bundle.manifest.model_copy(update=changes))


def test_aotinductor_agrees_with_torch_at_other_sizes_and_with_styles(compiled: Bundle) -> None:
    engine, graph = CompiledEngine(compiled, Runtime.AOTI, style_slots=4), small()
    chance = np.random.default_rng(0)
    down, up = chance.standard_normal((2, 8, 6), dtype=np.float32)
    assert engine.bank is not None
    engine.bank.load("ink", {"attentions": Factors(down, up.T.copy())})
    with engine.bank.hold([("ink", 0.7)]) as mix:
        inputs = {
            "latents": chance.standard_normal((2, 9, 6), dtype=np.float32),
            "style_slot": np.stack([mix.slots, 0 * mix.slots]),
            "style_weight": np.stack([mix.weights, mix.weights]),
        }
        banks = engine.bank.resident("denoiser")
        exact = answers(graph, [torch.from_numpy(a) for a in (inputs | banks).values()])
        found = engine.run("denoiser", inputs) | engine.run("anchor_encoder", inputs)
    assert set(found) == {"prediction", "seen_0"}
    for name, one in found.items():
        assert relative_error(one, exact[name]) < 1e-5
    unstyled = answers(graph, [torch.from_numpy(a) for a in (inputs | banks).values()])
    assert not np.allclose(found["prediction"][0], unstyled["prediction"][1])
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run("denoiser", inputs)


def test_engines_of_another_machine_or_version_are_refused(compiled: Bundle) -> None:
    made = Compiled.read(compiled, Runtime.AOTI)
    other = Machine(library="torch", version="1.0", device="cpu", capability="")
    with pytest.raises(BundleError, match=r"version '2.*', here is '1\.0'; run here: python -m"):
        made.check(other, Runtime.AOTI)
    many = replace_machine(made, capability="SM89 SM120")
    many.check(many.machine.model_copy(update={"capability": "SM120"}), Runtime.TENSORRT_RTX)
    with pytest.raises(BundleError, match="capability"):
        many.check(many.machine.model_copy(update={"capability": "SM86"}), Runtime.TENSORRT_RTX)


def replace_machine(made: Compiled, **changes: str) -> Compiled:
    return made.model_copy(update={"machine": made.machine.model_copy(update=changes)})


def test_a_bundle_without_engines_names_the_command_that_makes_them(
    tiny_bundle: Bundle, compiled: Bundle
) -> None:
    with pytest.raises(BundleError, match="python -m export target=aoti"):
        CompiledEngine(tiny_bundle, Runtime.AOTI)
    lacking = compiled.manifest.graphs | {"vae_decoder": tiny_bundle.manifest.graphs["vae_decoder"]}
    with pytest.raises(BundleError, match="lacks the graph 'vae_decoder'"):
        Compiled.read(
            replace(compiled, manifest=compiled.manifest.model_copy(update={"graphs": lacking})),
            Runtime.AOTI,
        )


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])
def test_a_rounded_graph_keeps_its_types_outside_and_is_a_little_off(precision: Precision) -> None:
    graph = small()
    (one,) = rounded([graph], precision, (), SIZES)
    found = answers(one.graph, one.inputs)
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
    assert 0 < one.error(found, tolerance=0.05) < 0.02
    with pytest.raises(BundleError, match=r"denoiser: .* more than 1\.0e-06; name the graph"):
        one.error(found, tolerance=1e-6)


def test_an_unrounded_graph_is_what_it_was_and_comes_before_its_weights_are_rounded() -> None:
    graph = small()
    twin: Any = replace(graph, name="twin")
    first, second = rounded([graph, twin], Precision.FP16, ("twin",), SIZES)
    assert (first.graph.name, first.precision) == ("twin", Precision.FP32)
    assert second.precision == Precision.FP16


def test_engines_json_says_what_they_are_bound_to(compiled: Bundle) -> None:
    told = json.loads((compiled.path / "aoti/engines.json").read_text())
    assert told["machine"]["version"] == torch.__version__
    assert told["graphs"]["denoiser"]["precision"] == "fp32"
    assert told["graphs"]["anchor_encoder"]["relative_error"] < 1e-6


def written(place: Path) -> Graph:
    """The small graph, as ONNX in this folder."""
    graph = small()
    OnnxTarget().write(graph, SIZES, place)
    return graph


def test_openvino_is_measured_with_styles_and_without(tiny_bundle: Bundle, tmp_path: Path) -> None:
    room = Room(tiny_bundle.manifest.sizes, 8, 77)
    OpenVino("fp32").compile([written(tmp_path)], room, SIZES, tmp_path, quiet)
    made = Compiled.model_validate_json((tmp_path / "openvino/engines.json").read_bytes())
    assert made.machine == openvino_machine()
    assert set(made.graphs) == {"denoiser", "anchor_encoder"}
    for name, one in made.graphs.items():
        assert (one.file, one.precision) == (f"{name}.onnx", "fp32")
        assert 0 < one.relative_error < 1e-5


def test_what_openvino_gets_wrong_is_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    room = Room(tiny_bundle.manifest.sizes, 8, 77)
    strict = OpenVino("fp32", tolerance=1e-12)
    with pytest.raises(BundleError, match=r"denoiser: is off by .* name the graph in `unrounded`"):
        strict.compile([written(tmp_path)], room, SIZES, tmp_path, quiet)


def test_a_cpu_without_bf16_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    without = openvino_machine().model_copy(update={"capability": "fp32"})
    monkeypatch.setattr("export.engines.openvino.openvino_machine", lambda: without)
    with pytest.raises(EngineError, match="is not computed in bf16 on this CPU; choose precision"):
        OpenVino("bf16").machine()
    assert OpenVino("fp32").machine() == without


class Request:
    """As Triton's Python backend gives it."""

    def __init__(self, inputs: dict[str, np.ndarray]) -> None:
        self.inputs = inputs

    def is_cancelled(self) -> bool:
        return False


@pytest.fixture
def python_model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that a stub runs, with stand-ins for what only a stub has."""
    backend = SimpleNamespace(
        get_input_tensor_by_name=lambda request, name: SimpleNamespace(
            as_numpy=lambda: request.inputs[name]
        ),
        Tensor=lambda name, value: (name, value),
        InferenceResponse=lambda tensors: {"output_tensors": tensors},
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    monkeypatch.setattr(np, "__version__", "1.26.4")
    return importlib.import_module("serving.triton.python_model")


def test_tritons_model_runs_what_was_compiled_with_the_styles_of_the_banks_files(
    compiled: Bundle, python_model: Any, tmp_path: Path
) -> None:
    bank = style_bank(compiled, 4, tmp_path)
    assert bank is not None
    bank.load("ink", {"attentions": Factors(np.ones((8, 6), np.float32), np.eye(6, 8, dtype="f4"))})
    (compiled.path / MANIFEST).write_text(compiled.manifest.model_dump_json())
    models = models_of(compiled, 1, tmp_path, Runtime.AOTI)
    told = {model.name: json_config(config(model)) for model in models}["denoiser"]
    model = python_model.TritonPythonModel()
    model.initialize({"model_config": json.dumps(told)})
    inputs = {
        "latents": np.random.default_rng(0).standard_normal((2, 3, 6), dtype=np.float32),
        "style_slot": np.array([[1, 0, 0, 0], [0, 0, 0, 0]]),
        "style_weight": np.full((2, 4), 0.5, np.float32),
    }
    requests = [Request({n: v[i : i + 1] for n, v in inputs.items()}) for i in range(2)]
    found = [dict(answer["output_tensors"])["prediction"] for answer in model.execute(requests)]
    told_all = [torch.from_numpy(one) for one in (inputs | bank.resident("denoiser")).values()]
    exact = answers(small(), told_all)["prediction"]
    assert relative_error(np.concatenate(found), exact) < 1e-5


def test_tritons_model_runs_openvino_with_the_styles_of_the_banks_files(
    tiny_bundle: Bundle, python_model: Any, tmp_path: Path
) -> None:
    bundle = ready(tiny_bundle, tmp_path / "ready")
    bank = style_bank(bundle, 4, tmp_path)
    assert bank is not None
    spec = bundle.manifest.graphs["denoiser"].bank
    assert spec is not None
    path, wide, high = spec.layers[0].path, spec.layers[0].inputs, spec.layers[0].outputs
    factors = Factors(np.ones((8, wide), np.float32), np.ones((high, 8), np.float32))
    bank.load("ink", {path: factors})
    models = models_of(bundle, 1, tmp_path, Runtime.OPENVINO)
    described = {model.name: model for model in models}["denoiser"]
    assert set(described.files) == set(bundle.manifest.graphs["denoiser"].files)
    model = python_model.TritonPythonModel()
    model.initialize({"model_config": json.dumps(json_config(config(described)))})
    inputs = small_inputs(bundle, "denoiser")
    inputs |= {"style_slot": np.array([[1, 0, 0, 0]]), "style_weight": np.full((1, 4), 0.5, "f4")}
    [answer] = model.execute([Request(inputs)])
    trusted = OnnxEngine(tiny_bundle, threads=1, style_slots=4)
    assert trusted.bank is not None
    trusted.bank.load("ink", {path: factors})
    exact = trusted.run("denoiser", inputs)["prediction"]
    assert relative_error(dict(answer["output_tensors"])["prediction"], exact) < 1e-5
    inputs["style_slot"][:] = 0
    assert relative_error(trusted.run("denoiser", inputs)["prediction"], exact) > 1e-4


def json_config(text: str) -> dict[str, Any]:
    """As Triton hands a configuration to its stubs."""
    parsed = text_format.Parse(text, ModelConfig())
    found: dict[str, Any] = json_format.MessageToDict(parsed, preserving_proto_field_name=True)
    return found
