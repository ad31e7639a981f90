"""The world in manners: the same every time, unlike each other, and still readable."""

import time

import numpy as np
import pytest

from luciole.storyworld import render, sample_scene
from luciole.storyworld.manners import MANNERS, drawn_in


@pytest.mark.parametrize("manner", MANNERS)
def test_the_same_scene_is_drawn_alike_at_any_size(manner: str) -> None:
    scene = sample_scene(3)
    for width, height in ((128, 128), (96, 160), (200, 72)):
        image = drawn_in(manner, scene, width, height)
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert np.array_equal(image, drawn_in(manner, scene, width, height))


def test_every_manner_is_far_from_the_plain_picture_and_from_the_others() -> None:
    scenes = [sample_scene(seed) for seed in range(6)]
    drawn = {manner: [drawn_in(manner, scene) for scene in scenes] for manner in MANNERS}
    drawn["plain"] = [render(scene).image for scene in scenes]
    for one, first in drawn.items():
        for other, second in drawn.items():
            if one < other:
                apart = np.abs(np.array(first, int) - np.array(second, int)).mean()
                assert apart > 9, (one, other)


@pytest.mark.parametrize("manner", MANNERS)
def test_people_stand_out_where_they_stood(manner: str) -> None:
    """Edges inside the people's box stay where they are: the drawing still shows them."""
    picture = render(sample_scene(4))
    plain, drawn = (_edges(image) for image in (picture.image, drawn_in(manner, sample_scene(4))))
    assert np.corrcoef(plain.ravel(), drawn.ravel())[0, 1] > 0.3


def _edges(image: np.ndarray) -> np.ndarray:
    """How much brightness changes, in squares of 4 pixels."""
    grey = image.mean(axis=2)
    change = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    change += np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    return change.reshape(32, 4, 32, 4).mean(axis=(1, 3))


def test_pixels_are_squares_of_few_colours() -> None:
    image = drawn_in("pixel", sample_scene(3))
    squares = image.reshape(32, 4, 32, 4, 3)
    assert (squares == squares[:, :1, :, :1]).all()
    assert len(np.unique(image.reshape(-1, 3), axis=0)) <= 33


def test_drawing_in_a_manner_takes_milliseconds() -> None:
    picture = render(sample_scene(3))
    for manner in MANNERS.values():
        began = time.process_time()
        for _ in range(5):
            manner(picture, np.random.default_rng(0))
        assert (time.process_time() - began) / 5 < 0.05


def test_an_unknown_manner_is_named() -> None:
    with pytest.raises(ValueError, match="'cubism' is unknown; there are ink, watercolour"):
        drawn_in("cubism", sample_scene(3))
