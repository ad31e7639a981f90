"""Shipping replaces a model as a whole, in half precision, or not at all."""

import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from training import ship as shipping

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


def test_what_is_shipped_is_the_model_in_fp16_and_the_card_stays(
    tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "pocket").mkdir()
    (tmp_path / "pocket" / "README.md").write_text("a card")
    shipping.ship(tiny_folder, tmp_path / "pocket")
    shipping.ship(tiny_folder, tmp_path / "pocket")
    name = "unet/diffusion_pytorch_model.safetensors"
    old, new = load_file(tiny_folder / name), load_file(tmp_path / "pocket" / name)
    assert old.keys() == new.keys()
    assert all(new[key].equal(old[key].half()) for key in old)
    assert (tmp_path / "pocket" / "README.md").read_text() == "a card"
    index = (tmp_path / "pocket" / "model_index.json").read_text()
    assert json.loads(index)["_class_name"] == "StableDiffusionXLPipeline"
    for settings in (tmp_path / "pocket").rglob("*.json"):
        assert str(tiny_folder) not in settings.read_text()


def test_a_model_that_is_too_large_replaces_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "LIMIT", 1000)
    with pytest.raises(ValueError, match="more than 1,000"):
        shipping.ship(tiny_folder, tmp_path / "pocket")
    assert list((tmp_path / "pocket").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["pocket"]


def test_the_command_ships_the_model(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["ship", "--models", str(tiny_folder), "--to", str(tmp_path / "to")]
    monkeypatch.setattr(sys, "argv", command)
    shipping.main()
    assert (tmp_path / "to" / "vae").is_dir()
