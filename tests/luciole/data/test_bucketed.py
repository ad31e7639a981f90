"""An album in aspect buckets, as pixels and as latents."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luciole.data import bucketed_latents as module
from luciole.data.album import Album
from luciole.data.bucketed_latents import BucketedLatents
from luciole.data.bucketed_pictures import BucketedPictures
from luciole.data.buckets import Buckets
from luciole.data.crops import as_tensor
from luciole.data.image_folder import ImageFolder
from luciole.data.stream import Grouped, Stream
from luciole.models.autoencoder import autoencoder

BUCKETS = Buckets(side=32, stride=16, shortest=16, longest=64)


def chances(count: int, seed: int = 0) -> list[np.random.Generator]:
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


@pytest.fixture
def album(folder: Path, tmp_path: Path) -> Album:
    return Album(ImageFolder(str(folder)), str(tmp_path / "albums"))


def encoded(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]) -> int:
    """How many pictures are encoded."""
    whole, seen = module.encode, []

    def count(images: Any, encoder: Any) -> Any:
        seen.append(len(images))
        return whole(images, encoder)

    with monkeypatch.context() as watched:
        watched.setattr(module, "encode", count)
        make()
    return sum(seen)


def test_batches_have_one_shape_and_say_how_pictures_were_cut(album: Album) -> None:
    source = BucketedPictures(album, BUCKETS)
    assert isinstance(source, Grouped)
    stream = Stream(source, 2, seed=1)
    seen: list[list[float]] = []
    lengths: list[int] = []
    while len(seen) < len(source):
        batch = stream.batch(len(lengths))
        lengths.append(len(batch["places"]))
        assert len(batch["captions"]) == len(batch["pictures"]) == len(batch["places"])
        target = batch["time_ids"][:, 4:].unique(dim=0)
        assert target.tolist() == [list(batch["pictures"].shape[2:])]
        seen += batch["time_ids"][:, :2].tolist()
    assert max(lengths) == 2
    assert sorted(seen) == sorted(album.sizes().astype(float).tolist())


def test_a_random_crop_is_the_window_that_its_corner_says(album: Album) -> None:
    source = BucketedPictures(album, Buckets(32, 32, 32, 32), crop="random")
    corners = set()
    for seed in range(6):
        batch = source.gather(np.array([0]), chances(1, seed), 0)
        _, _, top, left, height, width = batch["time_ids"][0].int().tolist()
        whole = as_tensor(np.array(album.read(0))[None])  # 32 by 64 needs no resizing
        window = whole[..., top : top + height, left : left + width]
        torch.testing.assert_close(batch["pictures"], window)
        corners.add((top, left))
    assert len(corners) > 2


def test_captions_are_dropped_as_often_as_asked(album: Album) -> None:
    rows = np.zeros(400, np.int64) + 2
    batch = BucketedPictures(album, BUCKETS, drop=0.25).gather(rows, chances(400), 0)
    counts = {said: batch["captions"].count(said) for said in ("", "tall", "narrow")}
    assert counts[""] == pytest.approx(100, abs=30)
    assert counts["tall"] == pytest.approx(150, abs=35)
    assert sum(counts.values()) == 400


def test_latents_are_draws_around_the_encoders_mean(
    album: Album, tiny: Any, tmp_path: Path
) -> None:
    source = BucketedLatents(album, BUCKETS, tiny, str(tmp_path / "latents"))
    pictures = BucketedPictures(album, BUCKETS)
    row = np.array([3])
    drawn = torch.cat([source.gather(row, chances(1, seed), 0)["latents"] for seed in range(300)])
    shown = pictures.gather(row, chances(1), 0)
    with torch.no_grad():
        posterior = tiny.encode(shown["pictures"]).latent_dist
    assert drawn.shape[1:] == (8, *(side // 8 for side in shown["pictures"].shape[2:]))
    spread = 0.5 * posterior.std[0]
    assert (drawn.mean(0) - 0.5 * posterior.mean[0]).abs().max() < 0.3 * spread.max() + 0.02
    assert ((drawn.std(0) / spread) - 1).abs().max() < 0.25
    assert torch.equal(source.gather(row, chances(1), 0)["time_ids"], shown["time_ids"])


def test_a_random_crop_is_cut_from_the_latents_of_the_whole_picture(
    album: Album, tiny: Any, tmp_path: Path
) -> None:
    square = Buckets(32, 32, 32, 32)
    source = BucketedLatents(album, square, tiny, str(tmp_path / "latents"), crop="random")
    with torch.no_grad():
        whole = tiny.encode(as_tensor(np.array(album.read(0))[None])).latent_dist
    lefts = set()
    for seed in range(8):
        batch = source.gather(np.array([0]), chances(1, seed), 0)
        top, left = batch["time_ids"][0, 2:4].int().tolist()
        assert top == 0
        assert left % 8 == 0
        lefts.add(left)
        window = slice(left // 8, left // 8 + 4)
        away = (batch["latents"][0] / 0.5 - whole.mean[0, :, :, window]).abs()
        assert (away < 5 * whole.std[0, :, :, window] + 0.05).all()
    assert len(lefts) > 2


def test_only_what_changed_is_encoded_again(
    folder: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch, png: Any
) -> None:
    def make(buckets: Buckets = BUCKETS, **options: Any) -> BucketedLatents:
        album = Album(ImageFolder(str(folder)), str(tmp_path / "albums"))
        return BucketedLatents(album, buckets, tiny, str(tmp_path / "latents"), **options)

    assert encoded(monkeypatch, make) == 5
    assert encoded(monkeypatch, make) == 0
    assert encoded(monkeypatch, lambda: make(threads=2)) == 0
    before = make().gather(np.array([3]), chances(1), 0)["latents"]
    (folder / "3.png").write_bytes(png(99, 65, 31))
    assert encoded(monkeypatch, make) == 1
    assert not torch.equal(make().gather(np.array([3]), chances(1), 0)["latents"], before)
    lines = (folder / "metadata.jsonl").read_text()
    (folder / "metadata.jsonl").write_text(lines.replace("picture 3", "picture three"))
    assert encoded(monkeypatch, make) == 0
    assert encoded(monkeypatch, lambda: make(Buckets(48, 16, 16, 64))) == 5
    with torch.no_grad():
        next(tiny.decoder.parameters()).add_(1)
        assert encoded(monkeypatch, make) == 0
        next(tiny.encoder.parameters()).add_(1)
    assert encoded(monkeypatch, make) == 5


def test_an_encoding_that_broke_off_ends_with_the_same_latents(
    album: Album, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PACK", 1)
    whole, left = module.encode, [3]

    def breaks(images: Any, encoder: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(images, encoder)

    def make(name: str) -> BucketedLatents:
        return BucketedLatents(album, BUCKETS, tiny, str(tmp_path / name))

    with monkeypatch.context() as broken:
        broken.setattr(module, "encode", breaks)
        with pytest.raises(KeyboardInterrupt):
            make("broken")
    assert encoded(monkeypatch, lambda: make("broken")) == 2
    for row in range(5):
        found, wanted = (
            make(name).gather(np.array([row]), chances(1), 0)["latents"]
            for name in ("broken", "straight")
        )
        assert torch.equal(found, wanted)


def test_shapes_that_the_encoder_cannot_halve_are_refused(
    album: Album, tmp_path: Path, tiny: Any
) -> None:
    with pytest.raises(ValueError, match=r"buckets\.stride: 4 is not a multiple of 8"):
        BucketedLatents(album, Buckets(32, 4, 16, 64), tiny, str(tmp_path))
    with pytest.raises(ValueError, match='crop: "middle" is neither centre nor random'):
        BucketedPictures(album, BUCKETS, crop="middle")  # type: ignore[arg-type]
