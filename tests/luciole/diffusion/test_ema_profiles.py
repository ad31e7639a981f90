"""Power-function averages, and the ones that are made from them afterwards."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from luciole.diffusion.ema_profiles import (
    LONGEST,
    PowerAverage,
    Profile,
    coefficients,
    exponent,
    mismatch,
)

STEPS, EVERY = 400, 20
HELD = [Profile(s, t) for s, t in product((0.05, 0.1), range(EVERY, STEPS + 1, EVERY))]


def weights_by_step(profile: Profile) -> np.ndarray:
    """How much each step 1..STEPS counts: the integral of the profile over the step before it."""
    ends = np.arange(STEPS + 1) / profile.step
    return np.diff(np.minimum(ends, 1) ** (profile.exponent + 1))


def walked() -> np.ndarray:
    """A random walk, as weights are."""
    return np.random.default_rng(0).standard_normal(STEPS).cumsum()


@pytest.mark.parametrize("sigma_rel", [0.01, 0.05, 0.1, 0.25, LONGEST])
def test_the_profile_has_the_relative_width_that_it_is_named_by(sigma_rel: float) -> None:
    gamma = exponent(sigma_rel)
    taus = (np.arange(200_000) + 0.5) / 200_000
    density = (gamma + 1) * taus**gamma / len(taus)
    mean = (density * taus).sum()
    assert np.sqrt((density * (taus - mean) ** 2).sum()) == pytest.approx(sigma_rel, rel=1e-3)


@pytest.mark.parametrize("sigma_rel", [0.0, 0.3])
def test_a_width_that_no_profile_has_is_refused(sigma_rel: float) -> None:
    with pytest.raises(ValueError, match="sigma_rel"):
        exponent(sigma_rel)


def test_overlap_is_the_integral_of_the_product() -> None:
    one, other = Profile(0.05, 100), Profile(0.1, 400)
    taus = (np.arange(400_000) + 0.5) / 1000
    densities = [
        np.where(
            taus <= p.step, (p.exponent + 1) * taus**p.exponent / p.step ** (p.exponent + 1), 0
        )
        for p in (one, other)
    ]
    expected = (densities[0] * densities[1]).sum() / 1000
    assert one.overlap(other) == other.overlap(one) == pytest.approx(expected, rel=1e-4)


def test_the_running_average_weighs_the_past_by_its_profile_exactly() -> None:
    layer = nn.Linear(1, 1, bias=False).double()
    average = PowerAverage(layer, 0.1)
    for value in walked():
        layer.weight.data.fill_(value)
        average.update()
    expected = weights_by_step(Profile(0.1, STEPS)) @ walked()
    assert average.averages["weight"].item() == pytest.approx(expected, rel=1e-9)


def test_a_held_average_is_its_own_reconstruction() -> None:
    by = coefficients(HELD, HELD[-1])
    np.testing.assert_allclose(by, np.eye(len(HELD))[-1], atol=1e-4)
    assert mismatch(HELD, HELD[-1], by) < 1e-5


@pytest.mark.parametrize("sigma_rel", [0.05, 0.07, 0.1, 0.15, 0.2])
def test_any_average_comes_back_as_near_as_the_profiles_do(sigma_rel: float) -> None:
    """|error| ≤ ‖difference of weights‖ ‖walk‖."""
    wanted = Profile(sigma_rel, STEPS)
    by = coefficients(HELD, wanted)
    made = sum(c * weights_by_step(p) for c, p in zip(by, HELD, strict=True))
    exact = weights_by_step(wanted)
    off = float(np.linalg.norm(made - exact))
    assert off / np.linalg.norm(exact) == pytest.approx(mismatch(HELD, wanted, by), abs=5e-3)
    assert mismatch(HELD, wanted, by) < 0.02
    steps = walked()
    brute, held = exact @ steps, np.array([weights_by_step(p) @ steps for p in HELD])
    assert abs(by @ held - brute) <= off * np.linalg.norm(steps) + 1e-9
    assert abs(by @ held - brute) < 0.02 * steps.std()


def test_its_state_goes_on_where_it_was_and_another_modules_is_refused() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    first, second = PowerAverage(layer, 0.1), PowerAverage(layer, 0.1)
    for _ in range(2):
        layer.weight.data.add_(1)
        first.update()
    second.load_state_dict(first.state_dict())
    layer.weight.data.add_(1)
    first.update()
    second.update()
    assert torch.equal(first.averages["weight"], second.averages["weight"])
    with pytest.raises(ValueError, match="gain"):
        first.load_state_dict({**second.state_dict(), "gain": torch.ones(1)})
