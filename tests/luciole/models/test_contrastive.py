"""The contrastive loss at its ends."""

import math

import pytest
import torch

from luciole.models.contrastive import ContrastiveLoss


def test_without_any_likeness_it_is_the_log_of_the_choices() -> None:
    same = torch.ones(8, 4)
    assert ContrastiveLoss()(same, same).item() == pytest.approx(math.log(8), abs=1e-5)


def test_perfect_pairs_cost_nearly_nothing() -> None:
    pairs = torch.eye(8)
    assert ContrastiveLoss()(pairs, 3 * pairs).item() < 1e-4


def test_it_never_gets_colder_than_its_limit() -> None:
    loss = ContrastiveLoss(coldest=0.01)
    loss.log_scale.data.fill_(50.0)
    assert loss.scores(torch.eye(2), torch.eye(2)).max().item() == pytest.approx(100, rel=1e-5)
