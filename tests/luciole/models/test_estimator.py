"""The estimator and its figures."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from luciole.models.estimator import ConditionEstimator, correct_joints, correlation, likeliest


def test_it_answers_for_cells_of_four_pixels(tmp_path: Path) -> None:
    estimator = ConditionEstimator([8, 8, 16]).eval()
    scores, nearness = estimator(torch.zeros(2, 3, 64, 48))
    assert scores.shape == (2, 18, 16, 12)
    assert nearness.shape == (2, 16, 12)
    assert 0 <= nearness.min() <= nearness.max() <= 1
    estimator.save(tmp_path)
    again = ConditionEstimator.load(tmp_path)
    assert torch.equal(again(torch.zeros(2, 3, 64, 48))[0], scores)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("head.bias")
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        ConditionEstimator.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="pocket_estimator"):
        ConditionEstimator.load(tmp_path / "none")


def test_the_likeliest_place_lies_between_cells_and_ignores_what_is_far() -> None:
    scores = torch.full((1, 1, 12, 12), -30.0)
    scores[0, 0, 3, 4] = scores[0, 0, 3, 5] = 5.0
    scores[0, 0, 10, 10] = 4.0
    torch.testing.assert_close(likeliest(scores), torch.tensor([[[4.5, 3.0]]]))


def test_pck_counts_visible_joints_within_a_tenth_of_the_person() -> None:
    truth = torch.tensor([[[0.0, 0, 1], [40, 100, 1], [20, 50, 1], [900, 900, 0]]])
    found = torch.tensor([[[9.0, 0], [40, 89], [20, 50], [900, 900]]])
    right, counted = correct_joints(found, truth)
    assert right.tolist() == [[True, False, True, False]]
    assert counted.tolist() == [[True, True, True, False]]


def test_correlation_is_pearsons() -> None:
    torch.manual_seed(0)
    first = torch.rand(3, 5, 4)
    second = torch.stack([2 * first[0] + 1, -first[1], torch.ones(5, 4)])
    found = correlation(first, second)
    torch.testing.assert_close(found, torch.tensor([1.0, -1.0, 0.0]))
