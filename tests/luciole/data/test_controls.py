"""Poses and depth beside the pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luciole.data.controls import (
    COLORS,
    LIMBS,
    GuidedLatents,
    MappedPictures,
    PicturesWithTruths,
    draw_pose,
)
from luciole.data.latents import CaptionedLatents, Latents
from luciole.data.pictures import Pictures
from luciole.models.autoencoder import autoencoder
from luciole.storyworld import render, sample_scene
from luciole.storyworld.pose import KEYPOINTS

ROWS = np.array([0, 5, 3])


def chances() -> list[np.random.Generator]:
    return [np.random.default_rng((3, i)) for i in range(len(ROWS))]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> MappedPictures:
    folder: Path = tmp_path_factory.mktemp("mapped")
    return MappedPictures.draw(6, str(folder), size=64, workers=1, shard=4)


@pytest.fixture(scope="module")
def latents(pictures: MappedPictures, tmp_path_factory: pytest.TempPathFactory) -> Latents:
    torch.manual_seed(0)
    tiny: Any = autoencoder((8, 8, 8, 8), 8, 1, 4, 64, False, scaling_factor=0.5)
    return Latents(pictures, tiny, str(tmp_path_factory.mktemp("latents")))


def test_the_maps_are_those_of_the_pictures(pictures: MappedPictures) -> None:
    for row in range(6):
        truth = render(sample_scene(row), 64, 64)
        assert np.array_equal(pictures.images([row])[0], truth.image)
        assert truth.depth is not None
        assert np.abs(pictures.depth(np.array([row]))[0] / 255 - truth.depth).max() < 0.003
        people = pictures.keypoints(np.array([row]))[0]
        assert np.array_equal(people[: len(truth.keypoints)], truth.keypoints)
        assert not people[len(truth.keypoints) :].any()


def test_maps_are_drawn_once_beside_pictures_that_are_there(tmp_path: Path) -> None:
    Pictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)
    MappedPictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npy")}
    assert len(written) == 4
    MappedPictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npy")} == written


def test_joints_have_their_colour_at_their_place() -> None:
    person = np.zeros((1, 18, 3), np.float32)
    person[0, :, 0] = 8 + 6 * np.arange(18)
    person[0, :, 1] = 10 + 37 * (np.arange(18) % 3)
    person[0, :, 2] = 1
    drawing = draw_pose(person, 128, 128)
    assert drawing.shape == (128, 128, 3)
    for joint, color in enumerate(COLORS):
        x, y = person[0, joint, :2].astype(int)
        assert tuple(drawing[y, x]) == color, KEYPOINTS[joint]
    person[0, 4, 2] = 0
    x, y = person[0, 4, :2].astype(int)
    assert tuple(draw_pose(person, 128, 128)[y, x]) != COLORS[4]
    assert not draw_pose(np.zeros((2, 18, 3), np.float32), 128, 128).any()


def test_limbs_join_neighbours() -> None:
    assert len(LIMBS) == 17
    for start, end in LIMBS:
        sides = {KEYPOINTS[joint].split("_")[0] for joint in (start, end)}
        assert sides != {"left", "right"}
    person = np.zeros((1, 18, 3), np.float32)
    person[0, 2], person[0, 3] = (20, 40, 1), (100, 40, 1)
    middle = draw_pose(person, 128, 128)[40, 60]
    assert tuple(middle) == tuple(round(0.6 * value) for value in COLORS[LIMBS.index((2, 3))])


@pytest.mark.parametrize("control", ["pose", "depth"])
def test_a_condition_comes_with_its_latents(
    control: Any, latents: Latents, pictures: MappedPictures
) -> None:
    batch = GuidedLatents(latents, 0.0, control).gather(ROWS, chances(), 0)
    plain = CaptionedLatents(latents, 0.0).gather(ROWS, chances(), 0)
    assert torch.equal(batch["latents"], plain["latents"])
    assert batch["captions"] == plain["captions"]
    assert batch["conditions"].shape == (3, 3, 64, 64)
    assert 0 <= batch["conditions"].min() < batch["conditions"].max() <= 1
    if control == "depth":
        torch.testing.assert_close(batch["conditions"][:, 0], batch["depth"])
    else:
        drawn = draw_pose(pictures.keypoints(ROWS)[1], 64, 64) / np.float32(255)
        assert np.array_equal(batch["conditions"][1].permute(1, 2, 0).numpy(), drawn)


def test_the_estimator_learns_from_pictures_in_their_place(pictures: MappedPictures) -> None:
    plain, rough = (
        PicturesWithTruths(pictures, disturb).gather(ROWS, chances(), 0)
        for disturb in (False, True)
    )
    assert torch.equal(plain["keypoints"], rough["keypoints"])
    assert 0 < (plain["pictures"] - rough["pictures"]).abs().mean() < 0.2


def test_only_known_controls_of_mapped_pictures_will_do(latents: Latents, tmp_path: Path) -> None:
    wrong: Any = "edges"
    with pytest.raises(ValueError, match="edges"):
        GuidedLatents(latents, 0.0, wrong)

    class Plain:
        pictures = Pictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)

    plain: Any = Plain()
    with pytest.raises(ValueError, match="MappedPictures"):
        GuidedLatents(plain, 0.0, "pose")
