"""Pictures for the encoder of looks."""

import numpy as np
import pytest
import torch

from luciole.data.pictures import Pictures
from luciole.data.portraits import Portraits, nearer
from luciole.storyworld import ATTRIBUTES, sample_scene

KINDS = ("hair_style", "skin")


def chances(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(i) for i in range(count)]


def test_only_pictures_of_one_person_count_and_their_labels_are_the_scenes(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = {**pictures.words[3], "readable": ["setting", "weather"]}
    words = [several if row == 3 else pictures.words[row] for row in range(len(pictures))]
    monkeypatch.setattr(pictures, "words", words)
    portraits = Portraits(pictures, KINDS)
    alone = [row for row in range(len(pictures)) if row != 3]
    assert len(portraits) == len(alone)
    batch = portraits.gather(np.arange(len(alone)), chances(len(alone)), 0)
    for row, labels in zip(alone, batch["labels"].tolist(), strict=True):
        said = sample_scene(row).labels()
        assert [ATTRIBUTES[kind][k] for kind, k in zip(KINDS, labels, strict=True)] == [
            said[kind] for kind in KINDS
        ]
    whole = torch.from_numpy(pictures.images(alone)).permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.testing.assert_close(batch["pictures"], whole)


def test_a_nearer_cut_keeps_the_size_and_shows_the_head_larger() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    people = np.zeros((16, 16), np.float32)
    people[6:12, 7:9] = 1
    picture[48:64, 56:72] = 255
    for seed in range(50):
        seen = nearer(picture, people, np.random.default_rng(seed))
        assert seen.shape == picture.shape
        assert seen[..., 0].mean() >= 0.95 * picture[..., 0].mean()
    sizes = [nearer(picture, people, chance)[..., 0].mean() for chance in chances(50)]
    assert max(sizes) > 4 * picture[..., 0].mean()


def test_a_picture_of_nobody_stays_whole() -> None:
    picture = np.arange(128 * 128 * 3, dtype=np.uint8).reshape(128, 128, 3)
    empty = np.zeros((16, 16), np.float32)
    assert np.array_equal(nearer(picture, empty, np.random.default_rng(0)), picture)
