"""Folders in diffusers' layout."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from luciole.models.folder import load_autoencoder, load_pipeline, save_folder, scheduler

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def picture(folder: Path) -> torch.Tensor:
    parts = load_pipeline(str(folder))
    parts.set_progress_bar_config(disable=True)
    result: torch.Tensor = parts(
        "girl",
        width=64,
        height=64,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images
    return result


def test_a_folder_in_half_precision_loads_and_draws_the_same_within_rounding(
    tiny_folder: Path, tmp_path: Path
) -> None:
    save_folder(load_pipeline(str(tiny_folder)), tmp_path, half=True)
    files = list(tmp_path.rglob("*.safetensors"))
    assert len(files) == 4
    assert {w.dtype for file in files for w in load_file(file).values()} == {torch.float16}
    assert load_autoencoder(str(tmp_path)).dtype == torch.float32
    torch.testing.assert_close(picture(tmp_path), picture(tiny_folder), rtol=0, atol=0.02)


def test_a_folder_in_full_precision_draws_the_very_same(tiny_folder: Path, tmp_path: Path) -> None:
    save_folder(load_pipeline(str(tiny_folder)), tmp_path, half=False)
    assert torch.equal(picture(tmp_path), picture(tiny_folder))
    assert (tmp_path / "tokenizer_2" / "merges.txt").exists()


def test_steps_begin_at_pure_noise_exactly_where_training_did() -> None:
    zero = scheduler("v_prediction", zero_snr=True)
    zero.set_timesteps(10)
    assert zero.timesteps[0] == 999
    plain = scheduler("epsilon", zero_snr=False)
    plain.set_timesteps(10)
    assert plain.timesteps[-1] == 1
