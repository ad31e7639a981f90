"""The noise schedule against diffusers' and against what it must be."""

import pytest
import torch

from luciole.diffusion.schedule import NoiseSchedule

STEPS = torch.tensor([0, 1, 250, 500, 998, 999])


def schedule(zero_snr: bool) -> NoiseSchedule:
    return NoiseSchedule(steps=1000, beta_start=0.00085, beta_end=0.012, zero_snr=zero_snr)


@pytest.mark.parametrize("zero_snr", [False, True])
def test_noise_and_velocity_are_those_of_diffusers(zero_snr: bool) -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=zero_snr,
    )
    mine = schedule(zero_snr)
    latents, noise = torch.randn(2, len(STEPS), 4, 3, 3).unbind()
    torch.testing.assert_close(
        mine.noisy(latents, noise, STEPS),
        theirs.add_noise(latents, noise, STEPS),
        rtol=0,
        atol=2e-5,
    )
    torch.testing.assert_close(
        mine.velocity(latents, noise, STEPS),
        theirs.get_velocity(latents, noise, STEPS),
        rtol=0,
        atol=2e-5,
    )


def test_with_zero_terminal_snr_the_last_step_is_pure_noise_and_the_first_is_kept() -> None:
    plain, zero = schedule(zero_snr=False), schedule(zero_snr=True)
    latents, noise = torch.randn(2, 1, 4, 3, 3).unbind()
    assert torch.equal(zero.noisy(latents, noise, torch.tensor([999])), noise)
    assert zero.snr(torch.tensor([999])).item() == 0
    torch.testing.assert_close(zero.alphas_cumprod[0], plain.alphas_cumprod[0])
    assert (zero.alphas_cumprod.diff() < 0).all()


def test_noise_and_velocity_give_the_latents_back() -> None:
    noise_schedule = schedule(zero_snr=True)
    latents, noise = torch.randn(2, len(STEPS), 4, 3, 3).unbind()
    kept = noise_schedule.alphas_cumprod[STEPS].view(-1, 1, 1, 1)
    noisy = noise_schedule.noisy(latents, noise, STEPS)
    velocity = noise_schedule.velocity(latents, noise, STEPS)
    again = kept.sqrt() * noisy - (1 - kept).sqrt() * velocity
    torch.testing.assert_close(again, latents, rtol=0, atol=1e-5)
