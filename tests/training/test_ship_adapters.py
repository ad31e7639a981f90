"""Shipped adapters are what was trained, in half precision, and small."""

import hashlib
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from luciole.adapters.control import control_net
from luciole.adapters.identity import IdentityAdapter
from luciole.adapters.lora import LoraMismatch
from luciole.models.classifier import AttributeClassifier
from luciole.models.folder import load_denoiser
from luciole.models.vision import image_encoder
from tests.conftest import save_tiny_style
from training import ship_adapters as shipping
from training.identity import WEIGHTS


@pytest.mark.parametrize("kind", ["identity", "depth", "judge"])
def test_the_weights_are_the_same_in_fp16(
    kind: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoiser, trained = load_denoiser(str(tiny_folder)), tmp_path / "trained"
    if kind == "identity":
        eye = image_encoder(32, 8, 24, 1, 2, 32, "gelu", 20)
        IdentityAdapter.base(denoiser, eye).save(trained / WEIGHTS, half=False, metadata={})
    elif kind == "judge":
        AttributeClassifier({"weather": ["rain", "snow"]}, [8, 8]).save(trained)
    else:
        control_net(denoiser, (4, 4, 8, 8), words=False).save_pretrained(trained)
    (trained / "README.md").write_text("# made by a command\n")
    (trained / "training.yaml").write_text("seed: 7\n")
    to = tmp_path / "shipped"
    command = ["ship_adapters", kind, str(trained), "--base", str(tiny_folder), "--to", str(to)]
    monkeypatch.setattr(sys, "argv", command)
    shipping.main()
    name = next(trained.glob("*.safetensors")).name
    old, new = load_file(trained / name), load_file(to / name)
    assert old.keys() == new.keys()
    assert all(torch.equal(new[key], old[key].half()) for key in old)
    digest = hashlib.sha256((to / name).read_bytes()).hexdigest()
    assert digest in (to / "README.md").read_text()
    monkeypatch.setattr(shipping, "LIMIT", 1000)
    with pytest.raises(ValueError, match="more than 1,000"):
        shipping.main()


def test_a_style_of_another_base_is_refused(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, to = tmp_path / "fog", tmp_path / "shipped"
    trained.mkdir()
    save_tiny_style(tiny_folder, trained / shipping.STYLE, "fog", rank=2, seed=1)
    for name in ("README.md", "training.yaml", "fog.png"):
        (trained / name).write_text("{}")
    denoiser = load_denoiser(str(tiny_folder))
    size = shipping.ship_style(trained, denoiser, to)
    assert size == (trained / shipping.STYLE).stat().st_size
    assert {file.name for file in to.iterdir()} == {file.name for file in trained.iterdir()}
    with torch.no_grad():
        denoiser.conv_in.weight.add_(1)
    with pytest.raises(LoraMismatch, match="trained on weights"):
        shipping.ship_style(trained, denoiser, to)


def test_a_stronger_style_adds_that_many_times_as_much() -> None:
    chance = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 8, generator=chance), torch.randn(6, 2, generator=chance)
    made = shipping.stronger({"unet.a.lora_A.weight": down, "unet.a.lora_B.weight": up}, 1.5)
    added = made["unet.a.lora_B.weight"] @ made["unet.a.lora_A.weight"]
    torch.testing.assert_close(added, 1.5 * (up @ down))
    with pytest.raises(ValueError, match="a DoRA cannot be scaled"):
        shipping.stronger({"unet.a.lora_magnitude_vector": up}, 1.5)


def test_a_student_is_halved_and_keeps_what_it_says_of_itself(
    tiny_folder: Path, tmp_path: Path
) -> None:
    trained, to = tmp_path / "student", tmp_path / "shipped"
    trained.mkdir()
    save_tiny_style(tiny_folder, trained / shipping.STYLE, "student", rank=2, seed=1)
    for name in ("README.md", "training.yaml"):
        (trained / name).write_text("{}")
    shipping.ship_student(trained, load_denoiser(str(tiny_folder)), to)
    old, new = (load_file(folder / shipping.STYLE) for folder in (trained, to))
    assert all(torch.equal(new[key], old[key].half()) for key in old)
    with (
        safe_open(trained / shipping.STYLE, "pt") as one,
        safe_open(to / shipping.STYLE, "pt") as two,
    ):
        assert one.metadata() == two.metadata()
