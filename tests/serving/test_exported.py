"""When a bundle is taken for up to date."""

import os
import shutil
from pathlib import Path

import pytest

from luciole.bundle import MANIFEST, Bundle, folder_hash
from luciole.compiled import Runtime
from luciole.domain import BundleError
from luciole.recipe import recipe
from serving.exported import ROOT, ensure, up_to_date
from tests.ready import ready


def test_a_bundle_names_the_hash_of_its_models_folder(
    tiny_bundle: Bundle, tiny_folder: Path
) -> None:
    assert tiny_bundle.manifest.source == folder_hash(tiny_folder)


def made_of(folder: Path, bundle: Bundle, place: Path, exporter: Path = ROOT / "export") -> Path:
    """The bundle as if it had been exported from this folder alone."""
    copy = ready(bundle, place).path
    told = {"recipe": recipe(exporter, folder, (), ())}
    manifest = Bundle.read(copy).manifest.model_copy(update=told)
    (copy / MANIFEST).write_text(manifest.model_dump_json())
    return copy


def test_a_bundle_of_the_same_model_is_not_exported_again(
    tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path
) -> None:
    made = made_of(tiny_folder, tiny_bundle, tmp_path / "bundle")
    os.utime(made / MANIFEST, (0, 0))
    assert not ensure(made, tiny_folder)


def test_a_bundle_of_another_exporter_is_out_of_date(
    tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path
) -> None:
    changed = shutil.copytree(ROOT / "export", tmp_path / "export")
    (changed / "engines" / "aoti.py").write_text("more")
    made = made_of(tiny_folder, tiny_bundle, tmp_path / "bundle", changed)
    assert not up_to_date(made, tiny_folder)


def test_a_bundle_with_styles_says_so(tiny_bundle: Bundle, tiny_folder: Path) -> None:
    assert tiny_bundle.manifest.recipe != recipe(ROOT / "export", tiny_folder, (), ())
    assert not up_to_date(tiny_bundle.path, tiny_folder)


def test_a_bundle_that_openvino_may_not_run_is_out_of_date_for_it(
    tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path
) -> None:
    made = made_of(tiny_folder, tiny_bundle, tmp_path / "ready")
    assert up_to_date(made, tiny_folder, Runtime.OPENVINO)
    (made / "openvino/engines.json").unlink()
    files = {k: v for k, v in Bundle.read(made).manifest.files.items() if "openvino" not in k}
    manifest = Bundle.read(made).manifest.model_copy(update={"files": files})
    (made / MANIFEST).write_text(manifest.model_dump_json())
    assert up_to_date(made, tiny_folder)
    assert not up_to_date(made, tiny_folder, Runtime.OPENVINO)


def test_a_failed_export_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    empty, out = tmp_path / "it's, a {model} = $no", tmp_path / "bundle"
    empty.mkdir()
    with pytest.raises(BundleError, match="ended with status 1"):
        ensure(out, empty)
    assert not out.exists()


def test_a_changed_model_or_a_damaged_bundle_is_out_of_date(
    tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path
) -> None:
    made = made_of(tiny_folder, tiny_bundle, tmp_path / "made")
    changed = shutil.copytree(tiny_folder, tmp_path / "model")
    (changed / "README.md").write_text("more")
    assert not up_to_date(made, changed)
    damaged = shutil.copytree(made, tmp_path / "bundle")
    (damaged / "denoiser.onnx").write_bytes(b"")
    assert not up_to_date(damaged, tiny_folder)
    assert not up_to_date(tmp_path / "nothing", tiny_folder)
