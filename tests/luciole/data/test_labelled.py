"""Pictures for the judge."""

import numpy as np
import pytest
import torch

from luciole.data.labelled import UNREADABLE, LabelledPictures, blur, disturbed
from luciole.data.pictures import Pictures
from luciole.storyworld import ATTRIBUTES, sample_scene


def test_labels_are_the_scenes_own_and_hidden_kinds_have_none(pictures: Pictures) -> None:
    for row in range(len(pictures)):
        scene = sample_scene(row, "train")
        labels = LabelledPictures(pictures, disturb=False).labels(row)
        for (kind, values), label in zip(ATTRIBUTES.items(), labels, strict=True):
            if kind in scene.readable():
                assert values[label] == scene.labels()[kind]
            else:
                assert label == UNREADABLE


def test_a_blur_keeps_plain_areas_and_the_mean() -> None:
    plain = torch.full((1, 3, 9, 9), 0.3)
    torch.testing.assert_close(blur(plain, sigma=0.8), plain)
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    assert blur(point, sigma=0.8).sum().item() == pytest.approx(1)
    assert blur(point, sigma=0.8)[0, 0, 4, 4] < 0.5


def test_disturbed_pictures_differ_and_stay_near() -> None:
    pictures = torch.linspace(-1, 1, 64).expand(4, 3, 64, 64)
    found = disturbed(pictures, [np.random.default_rng(i) for i in range(len(pictures))])
    assert found.shape == pictures.shape
    assert 0 < (found - pictures).abs().mean().item() < 0.3
