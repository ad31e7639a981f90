"""Batches for the autoencoder."""

import numpy as np
import torch

from luciole.data.crops import Crops, as_tensor
from luciole.data.pictures import Pictures

ROWS = np.arange(8)
CHANCES = [np.random.default_rng(int(row)) for row in ROWS]


def test_pixels_become_minus_one_to_one() -> None:
    pixels = np.array([[[[0, 128, 255]]]], np.uint8)
    expected = torch.tensor([-1.0, 128 / 127.5 - 1, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(as_tensor(pixels), expected)


def test_squares_are_cut_out_of_the_pictures(pictures: Pictures) -> None:
    crops = Crops(pictures, crop=16, whole_from=5)
    batch = crops.gather(ROWS, CHANCES, step=4)["pictures"]
    assert batch.shape == (8, 3, 16, 16)
    windows = as_tensor(pictures.images([3])).unfold(2, 16, 1).unfold(3, 16, 1)[0]
    same = (windows == batch[3].view(3, 1, 1, 16, 16)).all(dim=-1).all(dim=-1).all(dim=0)
    assert same.any()


def test_whole_pictures_come_from_a_step_on_in_batches_of_the_same_cost(pictures: Pictures) -> None:
    batch = Crops(pictures, crop=32, whole_from=5).gather(ROWS, CHANCES, step=5)
    assert torch.equal(batch["pictures"], as_tensor(pictures.images(ROWS[:2])))
