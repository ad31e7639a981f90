"""Weights that do not fit are refused before the first step, by file and key."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from luciole.models.folder import load_conditions, load_denoiser
from tests.training.test_experiments import pytestmark as pytestmark
from tests.training.test_experiments import tiny
from training.checkpoint import AtomicCheckpoints, BadCheckpoint, check_weights, read_checkpoint
from training.run import train

LAYER = nn.Linear(2, 3).state_dict()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"weight": torch.zeros(3, 2)}, "run.ckpt: bias is missing"),
        ({**LAYER, "scale": torch.zeros(1)}, "run.ckpt: nothing .* has a place for scale"),
        ({**LAYER, "bias": torch.zeros(2)}, r"run.ckpt: bias has shape \(2,\), .* \(3,\)"),
    ],
)
def test_a_checkpoint_names_file_and_key(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(BadCheckpoint, match=told):
        check_weights(Path("run.ckpt"), changed, LAYER)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(b"PK half a file")
    with pytest.raises(BadCheckpoint, match=r"last\.ckpt: cannot be read"):
        read_checkpoint(file)
    torch.save({"weights": {}}, file)
    with pytest.raises(BadCheckpoint, match=r"last\.ckpt: state_dict is missing"):
        read_checkpoint(file)


def test_a_kill_while_writing_leaves_the_last_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, writer = tmp_path / "last.ckpt", AtomicCheckpoints()
    writer.save_checkpoint({"step": 1}, file)

    def half(content: Any, stream: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        writer.save_checkpoint({"step": 2}, file)
    assert torch.load(file) == {"step": 1}


def test_a_run_does_not_go_on_with_another_model(tmp_path: Path) -> None:
    train(tiny("pocket_judge", tmp_path))
    wider = tiny("pocket_judge", tmp_path, "task.classifier.widths=[8,8,16]")
    with pytest.raises(BadCheckpoint, match=r"last.ckpt: classifier\S+ has shape"):
        train(wider)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda held: held.pop("conv_in.bias"), "conv_in.bias is missing"),
        (lambda held: held.update(extra=torch.zeros(1)), "extra has no place"),
        (lambda held: held.update({"conv_in.bias": torch.zeros(3)}), "conv_in.bias"),
    ],
)
def test_a_model_folder_names_file_and_key(
    change: Any, told: str, tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder / "unet", tmp_path / "unet")
    file = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    held = load_file(file)
    change(held)
    save_file(held, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"(?s)diffusion_pytorch_model.safetensors.*{told}"):
        load_denoiser(str(tmp_path))


def test_a_text_encoder_names_file_and_key(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    file = folder / "text_encoder" / "model.safetensors"
    held = load_file(file)
    name = next(name for name in held if name.endswith("final_layer_norm.bias"))
    save_file({key: held[key] for key in held if key != name}, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"model.safetensors: \S*final_layer_norm.bias is missing"):
        load_conditions(str(folder))
