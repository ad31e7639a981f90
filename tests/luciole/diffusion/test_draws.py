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


def test_even_uniform_numbers_leave_no_gaps_and_belong_to_places_still() -> None:
    places = range(64, 64 + 256)
    for call in range(4):
        draws = [Draws(3, some, even=True) for some in (places, [100])]
        for each in draws:
            for _ in range(call):
                each.uniform()
        drawn, alone = (each.uniform() for each in draws)
        assert drawn.sort().values.diff().max() < 4 / 256
        assert drawn[36] == alone[0]


def test_even_timesteps_make_the_mean_over_a_validation_set_ten_times_steadier() -> None:
    def spread(even: bool) -> float:
        means = [Draws(seed, range(256), even=even).uniform().pow(2).mean() for seed in range(30)]
        return float(torch.stack(means).std())

    assert 10 * spread(even=True) < spread(even=False)
