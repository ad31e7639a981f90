"""When a bundle is taken for up to date."""

import os
import shutil
from pathlib import Path

import pytest

from luciole.bundle import Bundle, folder_hash
from luciole.compiled import Runtime
from luciole.domain import BundleError
from serving.exported import ensure, up_to_date
from tests.ready import ready


def test_a_bundle_names_the_hash_of_its_models_folder(
    tiny_bundle: Bundle, tiny_folder: Path
) -> None:
    assert tiny_bundle.manifest.source == folder_hash(tiny_folder)


def test_a_bundle_of_the_same_model_is_not_exported_again(
    tiny_bundle: Bundle, tiny_folder: Path
) -> None:
    assert not ensure(tiny_bundle.path, tiny_folder)


def test_a_bundle_older_than_the_exporter_is_out_of_date(
    tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    os.utime(old / "manifest.json", (0, 0))
    assert not up_to_date(old, tiny_folder)


def test_a_bundle_that_openvino_may_not_run_is_out_of_date_for_it(
    tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path
) -> None:
    assert not up_to_date(tiny_bundle.path, tiny_folder, Runtime.OPENVINO)
    made = ready(tiny_bundle, tmp_path / "ready")
    assert up_to_date(made.path, tiny_folder, Runtime.OPENVINO)
    assert up_to_date(made.path, tiny_folder)


def test_a_failed_export_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    empty, out = tmp_path / "it's, a {model} = $no", tmp_path / "bundle"
    empty.mkdir()
    with pytest.raises(BundleError, match="ended with status 1"):
        ensure(out, empty)
    assert not out.exists()


def test_a_changed_model_or_a_damaged_bundle_is_out_of_date(
    tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path
) -> None:
    changed = shutil.copytree(tiny_folder, tmp_path / "model")
    (changed / "README.md").write_text("more")
    assert not up_to_date(tiny_bundle.path, changed)
    damaged = shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    (damaged / "denoiser.onnx").write_bytes(b"")
    assert not up_to_date(damaged, tiny_folder)
    assert not up_to_date(tmp_path / "nothing", tiny_folder)
