"""Sample sheets."""

import numpy as np
import torch

from training.samples import grid


def test_pictures_fill_the_sheet_row_by_row() -> None:
    shades = torch.tensor([-1.0, 0.0, 1.0, -1.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    sheet = np.asarray(grid(shades, rows=2))[::2, ::2, 0]
    assert sheet.tolist() == [[0, 128], [255, 0]]


def test_a_sheet_holds_only_full_rows() -> None:
    assert grid(torch.zeros(5, 3, 4, 4), rows=2).size == (8, 8)
