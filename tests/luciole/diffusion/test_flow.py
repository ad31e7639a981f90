"""Flow matching against closed forms and diffusers' own noise."""

from typing import Any

import pytest
import torch

from luciole.diffusion.draws import Draws
from luciole.diffusion.flow import FlowMatchingLoss
from luciole.diffusion.noise import drawn_noise

LATENTS, NOISE = torch.randn(2, 4, 8, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
TIMESTEPS = torch.tensor([1.0, 250.0, 700.0, 1000.0])


def test_the_denoiser_hears_diffusers_noisy_latents() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    heard: list[torch.Tensor] = []

    def predict(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        heard.append(noisy)
        assert timesteps is TIMESTEPS
        return noisy

    FlowMatchingLoss()(predict, LATENTS, NOISE, TIMESTEPS)
    theirs: Any = FlowMatchEulerDiscreteScheduler()
    torch.testing.assert_close(heard[0], theirs.scale_noise(LATENTS, TIMESTEPS, NOISE))


def test_the_right_answer_leads_from_noise_to_the_latents() -> None:
    loss = FlowMatchingLoss()
    assert loss(lambda *_: NOISE - LATENTS, LATENTS, NOISE, TIMESTEPS).tolist() == [0] * 4
    off = loss(lambda *_: NOISE - LATENTS + 1, LATENTS, NOISE, TIMESTEPS)
    torch.testing.assert_close(off, torch.ones(4))


def test_no_answer_for_gaussian_data_costs_less_than_the_best_one_should() -> None:
    """For data N(0, s²) the best answer is linear, and leaves s²/((1 − σ)² s² + σ²)."""
    s, count = 0.5, 400
    draw = torch.Generator().manual_seed(1)
    latents, noise = torch.randn(2, count, 1, 16, 16, generator=draw).unbind()
    latents = s * latents
    for sigma in (0.1, 0.5, 0.9):
        variance = (1 - sigma) ** 2 * s**2 + sigma**2
        gain = (sigma - (1 - sigma) * s**2) / variance
        timesteps = torch.full((count,), 1000 * sigma)
        loss = FlowMatchingLoss()(lambda x, _, g=gain: g * x, latents, noise, timesteps).mean()
        assert loss.item() == pytest.approx(s**2 / variance, rel=0.02)
        for other in (gain - 0.1, gain + 0.1):
            worse = FlowMatchingLoss()(lambda x, _, g=other: g * x, latents, noise, timesteps)
            assert worse.mean() > loss


def test_errors_count_only_where_the_mask_says() -> None:
    wrong = NOISE - LATENTS
    wrong[:, :, 0] += 1
    mask = torch.zeros(4, 1, 4, 4)
    mask[:, :, 1:] = 1
    assert FlowMatchingLoss()(lambda *_: wrong, LATENTS, NOISE, TIMESTEPS, mask).tolist() == [0] * 4


@pytest.mark.parametrize(
    ("deviation", "mean", "shift", "median"),
    [(None, 0.0, 1.0, 500.0), (1.0, 0.0, 1.0, 500.0), (1.0, 1.0, 1.0, 731.1), (1.0, 0.0, 3.0, 750)],
)
def test_half_of_all_timesteps_lie_below_the_median(
    deviation: float | None, mean: float, shift: float, median: float
) -> None:
    drawn = FlowMatchingLoss(deviation, mean, shift).timesteps(Draws(0, range(4000)))
    assert 0 < drawn.min() < drawn.max() < 1000
    assert (drawn < median).float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)


def test_a_shift_that_turns_time_around_is_refused() -> None:
    with pytest.raises(ValueError, match="shift: 0"):
        FlowMatchingLoss(shift=0.0)


def test_offset_noise_moves_whole_channels_and_nothing_else() -> None:
    plain = drawn_noise(Draws(0, range(2000)), torch.empty(2000, 3, 2, 2))
    moved = drawn_noise(Draws(0, range(2000)), torch.empty(2000, 3, 2, 2), offset=0.1) - plain
    torch.testing.assert_close(moved, moved[:, :, :1, :1].expand_as(moved), rtol=0, atol=1e-6)
    assert moved[:, :, 0, 0].std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(plain, Draws(0, range(2000)).normal(3, 2, 2))
