"""The cache of latents."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luciole.data.latents import CaptionedLatents, Latents, encoder_hash
from luciole.data.pictures import Pictures
from luciole.models.autoencoder import autoencoder


def chances(seed: int, count: int) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, i)) for i in range(count)]


@pytest.fixture
def tiny() -> Any:
    torch.manual_seed(0)
    return autoencoder(
        block_out_channels=(8, 8, 8, 8),
        latent_channels=8,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
        scaling_factor=0.5,
    )


def test_latents_are_draws_around_the_mean_scaled(
    pictures: Pictures, tiny: Any, tmp_path: Path
) -> None:
    from luciole.data.crops import as_tensor

    latents = Latents(pictures, tiny, str(tmp_path))
    rows = np.array([1, 9])
    drawn = np.stack([latents.draw(rows, chances(i, len(rows))) for i in range(400)])
    with torch.no_grad():
        posterior = tiny.encode(as_tensor(pictures.images(rows))).latent_dist
    assert drawn.shape[1:] == (2, 8, 8, 8)
    spread = 0.5 * posterior.std.numpy()
    assert np.abs(drawn.mean(0) - 0.5 * posterior.mean.numpy()).max() < 5 * spread.max() / 20 + 0.02
    assert np.abs(drawn.std(0) / spread - 1).max() < 0.25


def test_the_second_time_nothing_is_encoded(pictures: Pictures, tiny: Any, tmp_path: Path) -> None:
    first = Latents(pictures, tiny, str(tmp_path))
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npy")}
    second = Latents(pictures, tiny, str(tmp_path))
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npy")} == written
    rows, seed = np.arange(4), 5
    draws = [part.draw(rows, chances(seed, len(rows))) for part in (first, second)]
    assert np.array_equal(*draws)


def test_a_changed_encoder_misses_the_cache_and_a_changed_decoder_does_not(tiny: Any) -> None:
    before = encoder_hash(tiny)
    with torch.no_grad():
        next(tiny.decoder.parameters()).add_(1)
        assert encoder_hash(tiny) == before
        next(tiny.quant_conv.parameters()).add_(1)
    assert encoder_hash(tiny) != before


def test_changed_pictures_miss_the_cache(tiny: Any, tmp_path: Path) -> None:
    for split in ("train", "held_out"):
        few = Pictures.draw(2, str(tmp_path / "data"), split, size=32, workers=1, shard=2)
        Latents(few, tiny, str(tmp_path / "latents"))
    assert len(list((tmp_path / "latents").rglob("*.npy"))) == 2


def test_dropped_captions_are_the_empty_prompt(
    pictures: Pictures, tiny: Any, tmp_path: Path
) -> None:
    latents = Latents(pictures, tiny, str(tmp_path))
    all_dropped = CaptionedLatents(latents, drop=1.0).gather(np.arange(6), chances(0, 6), 0)
    assert all_dropped["captions"] == [""] * 6
    kept = CaptionedLatents(latents, drop=0.0).gather(np.arange(6), chances(0, 6), 0)
    assert all(kept["captions"][i] in pictures.captions(i) for i in range(6))
    assert kept["time_ids"].tolist() == [[64, 64, 0, 0, 64, 64]] * 6


def test_focus_counts_people_more_and_keeps_the_scale(
    pictures: Pictures, tiny: Any, tmp_path: Path
) -> None:
    latents = Latents(pictures, tiny, str(tmp_path))
    rows = np.arange(6)
    plain = CaptionedLatents(latents, drop=0.0).gather(rows, chances(0, 6), 0)
    assert "mask" not in plain
    mask = CaptionedLatents(latents, 0.0, focus=3.0).gather(rows, chances(0, 6), 0)["mask"]
    torch.testing.assert_close(mask.mean(dim=(1, 2, 3)), torch.ones(6))
    covered = pictures.people(2)
    inside, outside = covered == 1, covered == 0
    ratio = mask[2, 0][torch.from_numpy(inside)].mean() / mask[2, 0][torch.from_numpy(outside)]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 4.0))
