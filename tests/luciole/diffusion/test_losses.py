"""What the denoising loss asks for and how it weighs the answers."""

from typing import Any

import pytest
import torch

from luciole.diffusion.draws import Draws
from luciole.diffusion.losses import DenoisingLoss, PredictionType
from luciole.diffusion.schedule import NoiseSchedule

TIMESTEPS = torch.tensor([0, 300, 700, 998])
LATENTS, NOISE = torch.randn(2, 4, 8, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()


def schedule(zero_snr: bool = False) -> NoiseSchedule:
    return NoiseSchedule(1000, 0.00085, 0.012, zero_snr)


def answering(prediction: torch.Tensor) -> Any:
    return lambda *_: prediction


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_right_answer_costs_nothing_and_one_off_by_one_costs_one(kind: PredictionType) -> None:
    loss = DenoisingLoss(schedule(), kind)
    target = loss.target(LATENTS, NOISE, TIMESTEPS)
    assert loss(answering(target), LATENTS, NOISE, TIMESTEPS).tolist() == [0] * 4
    off = loss(answering(target + 1), LATENTS, NOISE, TIMESTEPS)
    torch.testing.assert_close(off, torch.ones(4))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_min_snr_weighs_every_picture_by_the_smaller_of_gamma_and_snr(kind: PredictionType) -> None:
    noise_schedule = schedule()
    loss = DenoisingLoss(noise_schedule, kind, snr_ceiling=5.0)
    snr = noise_schedule.snr(TIMESTEPS)
    kept = noise_schedule.alphas_cumprod[TIMESTEPS]
    per_picture = (1 - kept) / kept if kind == "epsilon" else 1 - kept
    smaller = torch.minimum(snr, torch.tensor(5.0))
    torch.testing.assert_close(loss.weight(TIMESTEPS), smaller * per_picture)


def test_with_a_floor_pure_noise_counts_fully_and_without_it_not_at_all() -> None:
    last = torch.tensor([999])
    ceiling = DenoisingLoss(schedule(zero_snr=True), "v_prediction", snr_ceiling=5.0)
    floor = DenoisingLoss(schedule(zero_snr=True), "v_prediction", snr_ceiling=5.0, snr_floor=1.0)
    assert ceiling.weight(last).item() == 0
    assert floor.weight(last).item() == 1


def test_the_denoiser_hears_the_noisy_latents() -> None:
    heard: list[torch.Tensor] = []

    def predict(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        heard.extend([noisy, timesteps])
        return noisy

    DenoisingLoss(schedule(), "v_prediction")(predict, LATENTS, NOISE, TIMESTEPS)
    assert torch.equal(heard[0], schedule().noisy(LATENTS, NOISE, TIMESTEPS))
    assert heard[1] is TIMESTEPS


def test_errors_count_only_where_the_mask_says() -> None:
    loss = DenoisingLoss(schedule(), "v_prediction")
    wrong = loss.target(LATENTS, NOISE, TIMESTEPS).clone()
    wrong[:, :, 0] += 1
    mask = torch.zeros(4, 1, 4, 4)
    mask[:, :, 1:] = 1
    assert loss(answering(wrong), LATENTS, NOISE, TIMESTEPS, mask).tolist() == [0] * 4
    off = loss(answering(wrong), LATENTS, NOISE, TIMESTEPS, 1 - mask)
    torch.testing.assert_close(off, torch.full((4,), 0.25))


def test_timesteps_are_spread_evenly_over_the_schedule() -> None:
    drawn = DenoisingLoss(schedule(), "v_prediction").timesteps(Draws(0, range(4000)))
    assert drawn.min() >= 0
    assert drawn.max() <= 999
    assert abs(drawn.double().mean() - 499.5) < 4 * 1000 / 12**0.5 / 4000**0.5


def test_epsilon_is_refused_where_a_step_holds_only_noise() -> None:
    with pytest.raises(ValueError, match="prediction_type"):
        DenoisingLoss(schedule(zero_snr=True), "epsilon")


def test_an_unknown_target_is_refused_by_name() -> None:
    with pytest.raises((ValueError, TypeError), match="'flow'"):
        DenoisingLoss(schedule(), "flow")  # type: ignore[arg-type]
