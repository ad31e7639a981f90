import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from luciole.bundle import GRAPHS, MANIFEST, Bundle, Manifest, Sizes, fresh_folder, write_manifest
from luciole.domain import BundleError, InvalidRequest


def write_bundle(folder: Path) -> Path:
    """The smallest thing that opens: graphs are any bytes, for here nothing runs them."""
    folder.mkdir()
    for graph in GRAPHS:
        (folder / f"{graph}.onnx").write_bytes(f"graph {graph}".encode())
    for name in ("tokenizer", "tokenizer_2"):
        (folder / name).mkdir()
        (folder / name / "tokenizer.json").write_text("{}")
    encodings = [
        {"folder": name, "bos": 1, "eos": 2, "pad": 2} for name in ("tokenizer", "tokenizer_2")
    ]
    fields = {
        "name": "smallest",
        "licence": "Apache-2.0",
        "created_by": {"luciole": "0"},
        "source": "none",
        "graphs": {name: {"file": f"{name}.onnx", "inputs": [], "outputs": []} for name in GRAPHS},
        "tokenizers": ["tokenizer", "tokenizer_2"],
        "scheduler": {},
        "sizes": {"default": 128, "min": 64, "max": 256, "stride": 32, "max_batch": 4},
        "latent_channels": 8,
        "latent_stride": 8,
        "styles": {},
        "prompt": {"tokenizers": encodings, "zeros_for_empty_negative": False},
    }
    write_manifest(folder, fields)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def edit(folder: Path, change: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    return caught.value


def test_a_whole_bundle_opens(folder: Path) -> None:
    bundle = Bundle.open(str(folder))
    assert bundle.manifest.name == "smallest"
    assert bundle.graph_file("denoiser").read_bytes() == b"graph denoiser"


def test_an_exported_bundle_opens_again(tiny_bundle: Bundle) -> None:
    assert Bundle.open(tiny_bundle.path) == tiny_bundle


@pytest.mark.parametrize(
    "file", ["denoiser.onnx", "vae_decoder.onnx", "tokenizer_2/tokenizer.json"]
)
def test_one_flipped_byte_is_found_and_its_file_named(folder: Path, file: str) -> None:
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    error = refusal(folder)
    assert error.field == file
    assert "hash" in error.message


@pytest.mark.parametrize("file", ["denoiser.onnx", "tokenizer/tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    error = refusal(folder)
    assert error.field == file
    assert "missing" in error.message


def test_a_wrong_hash_names_the_file(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["files"].update({"denoiser.onnx": "0" * 64}))
    assert refusal(folder).field == "denoiser.onnx"


def test_a_graph_missing_from_the_list_is_named(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["graphs"].pop("denoiser"))
    error = refusal(folder)
    assert error.field == MANIFEST
    assert "denoiser" in error.message


def test_a_graph_whose_file_has_no_hash_is_named(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["files"].pop("denoiser.onnx"))
    assert refusal(folder).field == "denoiser.onnx"


def test_a_tokenizer_without_a_hash_is_named(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["files"].pop("tokenizer/tokenizer.json"))
    assert refusal(folder).field == "tokenizer/tokenizer.json"


REQUIRED = sorted(key for key, one in Manifest.model_fields.items() if one.is_required())


@pytest.mark.parametrize("key", sorted({*REQUIRED} - {"format_version"}))
def test_each_key_that_the_manifest_lacks_is_named(folder: Path, key: str) -> None:
    edit(folder, lambda manifest: manifest.pop(key))
    error = refusal(folder)
    assert error.field == MANIFEST
    assert key in error.message


def test_a_manifest_without_a_format_version_is_of_no_known_format(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.pop("format_version"))
    assert "format None" in refusal(folder).message


def test_an_unknown_key_is_named(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(surprise=1))
    assert "surprise" in refusal(folder).message


def test_another_format_version_is_refused(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(format_version=1))
    assert "format 1" in refusal(folder).message


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_manifest_that_is_not_one_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    assert refusal(folder).field == MANIFEST


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing").field == MANIFEST


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../outside", "..\\outside"])
def test_a_path_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "outside").write_text("secret")
    edit(folder, lambda manifest: manifest["files"].update({name: "0" * 64}))
    error = refusal(folder)
    assert error.field == name
    assert "out of" in error.message


def test_a_link_that_leaves_the_folder_is_refused(folder: Path) -> None:
    shutil.move(folder / "denoiser.onnx", folder.parent / "elsewhere")
    (folder / "denoiser.onnx").symlink_to(folder.parent / "elsewhere")
    assert refusal(folder).field == "denoiser.onnx"


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()

    def fail_half_way() -> None:
        with fresh_folder(out) as fresh:
            (fresh / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_a_finished_write_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for name in ("first", "second"):
        with fresh_folder(out) as fresh:
            (fresh / name).touch()
            assert fresh.parent == out.parent
    assert [path.name for path in out.parent.rglob("*")] == ["out", "second"]


@pytest.mark.parametrize("value", [0, 63, 65, 100, 288])
def test_sizes_off_the_stride_or_out_of_range_name_the_field(value: int) -> None:
    sizes = Sizes(default=128, min=64, max=256, stride=32, max_batch=4)
    sizes.check("width", 96)
    with pytest.raises(InvalidRequest, match=f"height: {value} must be a multiple of 32"):
        sizes.check("height", value)
