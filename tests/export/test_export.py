"""The exporter on the tiny model; most of what it writes is tested where it is read."""

import json
import shutil
import sys
from pathlib import Path

import onnx
import pytest
from hydra import compose, initialize_config_dir

from export.__main__ import CONF, export_of, main
from export.bundle import Export
from export.folder import REQUIRED, ModelFolderError, check_folder
from export.graphs import STYLE_ROWS
from export.guides import licence_of
from export.parity import Agreement, write_report
from luciole.bundle import GRAPHS, Bundle
from luciole.domain import BundleError
from luciole.shipped import shipped_model


def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_every_graph_agrees_with_torch(tiny_bundle: Bundle) -> None:
    report = json.loads((tiny_bundle.path / "parity.json").read_text())
    agreements = [Agreement.model_validate(row) for row in report["agreements"]]
    assert {agreement.graph for agreement in agreements} == set(tiny_bundle.manifest.graphs)
    assert {agreement.sizes["batch"] for agreement in agreements} == {1, 3, 5}
    assert max(agreement.relative_error for agreement in agreements) < 1e-4


@pytest.mark.parametrize("graph", GRAPHS)
def test_axes_carry_the_contracts_names(tiny_bundle: Bundle, graph: str) -> None:
    model = onnx.load(tiny_bundle.graph_file(graph), load_external_data=False)
    spec = tiny_bundle.manifest.graphs[graph]
    inputs = spec.inputs + spec.resident
    for values, tensors in ((model.graph.input, inputs), (model.graph.output, spec.outputs)):
        for value, tensor in zip(values, tensors, strict=True):
            axes = value.type.tensor_type.shape.dim
            assert value.name == tensor.name
            # Where nobody has a style, a call may bring no places of the bank.
            expected = ("batch", "styles") if tensor.name in STYLE_ROWS else tensor.shape
            assert tuple(axis.dim_param or axis.dim_value for axis in axes) == expected


@pytest.mark.parametrize("graph", GRAPHS)
def test_graphs_name_no_path_of_the_machine_that_wrote_them(
    tiny_bundle: Bundle, graph: str
) -> None:
    assert b"site-packages" not in tiny_bundle.graph_file(graph).read_bytes()


def test_the_manifest_says_what_the_model_is(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    assert manifest.licence == "Apache-2.0"
    assert manifest.latent_channels == manifest.latent_stride == 8
    assert manifest.sizes.model_dump() == {
        "default": 128,
        "min": 64,
        "max": 256,
        "stride": 32,
        "max_batch": 16,
    }
    assert manifest.scheduler["prediction_type"] == "v_prediction"
    first, second = manifest.prompt.tokenizers
    assert (first.pad, second.pad) == (first.eos, 0)


@pytest.mark.parametrize("pattern", REQUIRED)
def test_a_missing_part_is_named(tiny_folder: Path, tmp_path: Path, pattern: str) -> None:
    folder = copy(tiny_folder, tmp_path)
    for file in folder.glob(pattern):
        file.unlink()
    with pytest.raises(ModelFolderError, match="is missing") as caught:
        check_folder(folder)
    assert caught.value.field == pattern


def test_another_kind_of_pipeline_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = copy(tiny_folder, tmp_path)
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ModelFolderError, match="FluxPipeline"):
        check_folder(folder)


def test_a_scheduler_that_sampling_cannot_do_stops_the_export_before_it_starts(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = copy(tiny_folder, tmp_path)
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "use_karras_sigmas": True}))
    with pytest.raises(BundleError, match="use_karras_sigmas"):
        Export(folder, tmp_path / "out").run()
    assert not (tmp_path / "out").exists()


def test_a_graph_further_off_than_the_tolerance_fails_by_name(tmp_path: Path) -> None:
    rows = [
        Agreement(graph="denoiser", output="prediction", sizes={"batch": 1}, relative_error=error)
        for error in (1e-6, 2e-4)
    ]
    with pytest.raises(BundleError, match=r"denoiser\.onnx: prediction is off by 2\.0e-04"):
        write_report(rows, 1e-4, tmp_path)
    write_report(rows[:1], 1e-4, tmp_path)


def test_the_licence_is_that_of_the_model_card(tmp_path: Path) -> None:
    assert licence_of(tmp_path) == "unknown"
    (tmp_path / "README.md").write_text("---\nlicense: openrail++\n---\n# A model\n")
    assert licence_of(tmp_path) == "openrail++"


def test_the_command_reads_its_configuration() -> None:
    with initialize_config_dir(str(CONF), version_base=None):
        default = export_of(compose("export"))
        named = export_of(compose("export", [f"folder='{shipped_model()}'"]))
        other = export_of(compose("export", ["folder=some/model", "sizes.max=1024"]))
    assert (named.styles, named.guides) == (default.styles, default.guides)
    assert default.styles
    assert default.guides.identity
    assert default.model == shipped_model()
    assert default.out == Path("out/bundle")
    assert default.tolerance == 1e-4
    assert (other.model, other.sizes.max) == (Path("some/model"), 1024)


def test_a_failed_command_says_which_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"folder={tmp_path / 'nowhere'}", f"out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["export", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "export failed: model_index.json: is missing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("graph", ["text_encoder", "denoiser"])
def test_a_call_reads_the_places_that_it_uses_and_not_the_whole_bank(
    tiny_bundle: Bundle, graph: str
) -> None:
    nodes = onnx.load(tiny_bundle.graph_file(graph), load_external_data=False).graph.node
    banks = {tensor.name for tensor in tiny_bundle.manifest.graphs[graph].resident}
    assert [node.op_type for node in nodes if banks & set(node.input)] == ["Gather", "Gather"]
