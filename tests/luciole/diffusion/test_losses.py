"""What the denoising loss asks for and how it weighs the answers."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from luciole.diffusion.losses import Conditions, DenoisingLoss, PredictionType
from luciole.diffusion.schedule import NoiseSchedule

TIMESTEPS = torch.tensor([0, 300, 700, 998])
LATENTS, NOISE = torch.randn(2, 4, 8, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
TOLD = Conditions(torch.zeros(4, 77, 8), torch.zeros(4, 8), torch.zeros(4, 6))


def schedule(zero_snr: bool = False) -> NoiseSchedule:
    return NoiseSchedule(1000, 0.00085, 0.012, zero_snr)


def answering(prediction: torch.Tensor) -> Any:
    return lambda *_, **__: SimpleNamespace(sample=prediction)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_right_answer_costs_nothing_and_one_off_by_one_costs_one(kind: PredictionType) -> None:
    loss = DenoisingLoss(schedule(), kind)
    target = loss.target(LATENTS, NOISE, TIMESTEPS)
    assert loss(answering(target), LATENTS, NOISE, TIMESTEPS, TOLD).item() == 0
    off = loss(answering(target + 1), LATENTS, NOISE, TIMESTEPS, TOLD)
    torch.testing.assert_close(off, torch.tensor(1.0))


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


def test_the_denoiser_hears_the_noisy_latents_and_all_conditions() -> None:
    heard: dict[str, Any] = {}

    def denoiser(noisy: Any, steps: Any, states: Any, added_cond_kwargs: Any) -> SimpleNamespace:
        heard.update(noisy=noisy, steps=steps, states=states, **added_cond_kwargs)
        return SimpleNamespace(sample=noisy)

    DenoisingLoss(schedule(), "v_prediction")(denoiser, LATENTS, NOISE, TIMESTEPS, TOLD)
    assert torch.equal(heard["noisy"], schedule().noisy(LATENTS, NOISE, TIMESTEPS))
    assert heard["text_embeds"] is TOLD.pooled
    assert heard["time_ids"] is TOLD.time_ids
    assert heard["states"] is TOLD.text_states


def test_epsilon_is_refused_where_a_step_holds_only_noise() -> None:
    with pytest.raises(ValueError, match="prediction_type"):
        DenoisingLoss(schedule(zero_snr=True), "epsilon")


def test_an_unknown_target_is_refused_by_name() -> None:
    with pytest.raises((ValueError, TypeError), match="'flow'"):
        DenoisingLoss(schedule(), "flow")  # type: ignore[arg-type]
