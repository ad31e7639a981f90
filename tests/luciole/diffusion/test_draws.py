"""Chance by place."""

import torch

from luciole.diffusion.draws import Draws


def test_a_sample_draws_the_same_in_any_company() -> None:
    alone = [Draws(1, [place]) for place in (5, 9)]
    together = Draws(1, torch.tensor([5, 9]))
    for _ in range(2):
        assert torch.equal(together.normal(2, 3), torch.cat([one.normal(2, 3) for one in alone]))
        assert torch.equal(together.uniform(), torch.cat([one.uniform() for one in alone]))


def test_seed_place_and_purpose_each_change_what_is_drawn() -> None:
    first = Draws(1, [5]).normal(4)
    for other in (Draws(2, [5]), Draws(1, [6]), Draws(1, [5], purpose=1)):
        assert not torch.equal(first, other.normal(4))


def test_the_numbers_are_standard_normal_and_uniform() -> None:
    draws = Draws(3, range(3000))
    normal, uniform = draws.normal(4), draws.uniform()
    assert abs(normal.mean()) < 0.04
    assert abs(normal.std() - 1) < 0.03
    assert abs(uniform.mean() - 0.5) < 0.02
    assert 0 <= uniform.min() < uniform.max() < 1
