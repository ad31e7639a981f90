"""What the autoencoder is trained to keep."""

import math

import pytest
import torch

from luciole.models.autoencoder import ReconstructionLoss, edges, psnr


def test_a_perfect_copy_with_a_standard_posterior_costs_nothing() -> None:
    loss = ReconstructionLoss(mse=0.5, edge=1.0, kl=1e-5, scales=3)
    picture = torch.rand(2, 3, 16, 16)
    assert loss(picture, picture, torch.zeros(2)).item() == 0


def test_a_shade_off_costs_its_l1_and_mse_and_no_edges() -> None:
    loss = ReconstructionLoss(mse=0.5, edge=1.0, kl=0.0, scales=3)
    picture = torch.zeros(1, 3, 16, 16)
    assert loss(picture + 0.2, picture, torch.zeros(1)).item() == pytest.approx(0.2 + 0.5 * 0.04)


def test_the_kl_is_weighed_per_pixel_value() -> None:
    loss = ReconstructionLoss(mse=0.0, edge=0.0, kl=0.1, scales=1)
    picture = torch.zeros(2, 3, 4, 4)
    assert loss(picture, picture, torch.tensor([48.0, 96.0])).item() == pytest.approx(0.15)


def test_edges_are_differences_of_neighbours() -> None:
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    along, across = edges(ramp)
    assert (along == 1).all()
    assert (across == 0).all()


def test_psnr_of_a_known_error() -> None:
    zeros = torch.zeros(1, 3, 8, 8)
    assert psnr(zeros + 0.2, zeros) == pytest.approx(10 * math.log10(4 / 0.04), abs=1e-4)
