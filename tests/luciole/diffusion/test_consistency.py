"""Consistency distillation where everything is known: data N(0, s²)."""

from math import sqrt
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler

from luciole.diffusion.consistency import ConsistencyLoss
from luciole.diffusion.draws import Draws
from luciole.diffusion.losses import PredictionType
from luciole.diffusion.schedule import NoiseSchedule

BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "rescale_betas_zero_snr": True,
}
SCHEDULE = NoiseSchedule(1000, 0.00085, 0.012, zero_snr=True)
S = 0.5
LATENTS, NOISE = torch.randn(2, 4, 2, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
TIMESTEPS = torch.tensor([19, 499, 979, 999])


def consistency(levels: int = 50, kind: PredictionType = "v_prediction") -> ConsistencyLoss:
    return ConsistencyLoss(SCHEDULE, kind, guidance=[1.0, 1.0], levels=levels)


def kept(timesteps: torch.Tensor) -> torch.Tensor:
    return SCHEDULE.alphas_cumprod[timesteps].view(-1, 1, 1, 1)


def best_velocity(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    """E[v | x_t] for data N(0, S²)."""
    power = kept(timesteps)
    gain = (power * (1 - power)).sqrt() * (1 - S**2) / (power * S**2 + 1 - power)
    return gain * noisy


def velocity_landing_at(loss: ConsistencyLoss, gains: dict[int, float]) -> Any:
    """What must be said so that f(x_t, t) is `gains[t]` times x_t."""

    def say(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        skip, out = loss.boundary(timesteps)
        gain = torch.tensor([gains[int(t)] for t in timesteps]).view(-1, 1, 1, 1)
        clean = torch.where(out > 0, (gain - skip) / out.clamp(min=1e-9), 0) * noisy
        return (kept(timesteps).sqrt() * noisy - clean) / (1 - kept(timesteps)).sqrt()

    return say


def exact_gains() -> dict[int, float]:
    """x(0) / x(t) on the path of the differential equation: the standard deviations' ratio."""
    powers = SCHEDULE.alphas_cumprod.double()
    spread = (powers * S**2 + 1 - powers).sqrt()
    return {t: float(spread[0] / spread[t]) for t in range(1000)}


@pytest.mark.parametrize("timestep", [0, 1, 19, 999])
def test_skip_and_out_are_those_of_diffusers(timestep: int) -> None:
    theirs = LCMScheduler().get_scalings_for_boundary_condition_discrete(timestep)
    mine = consistency().boundary(torch.tensor([timestep]))
    assert [part.item() for part in mine] == pytest.approx(theirs, abs=1e-7)


def test_at_timestep_0_the_answer_is_what_is_seen() -> None:
    zero = torch.zeros(4, dtype=torch.long)
    assert torch.equal(consistency().landing(torch.full_like(NOISE, 9), NOISE, zero), NOISE)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_step_is_that_of_diffusers_ddim(kind: PredictionType) -> None:
    theirs = DDIMScheduler(
        **BETAS,
        prediction_type=kind,
        timestep_spacing="trailing",
        set_alpha_to_one=False,
        clip_sample=False,
    )
    theirs.set_timesteps(50)
    loss = consistency(kind=kind)
    timesteps = TIMESTEPS[:3] if kind == "epsilon" else TIMESTEPS
    assert set(timesteps.tolist()) <= set(theirs.timesteps.tolist())
    for i, t in enumerate(timesteps):
        mine = loss.step(LATENTS[i : i + 1], NOISE[i : i + 1], t[None], loss.earlier(t[None]))
        other = theirs.step(LATENTS[i : i + 1], int(t), NOISE[i : i + 1]).prev_sample
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_levels_are_those_that_diffusers_student_is_asked_for() -> None:
    drawn = consistency().timesteps(Draws(0, range(2000)))
    theirs = LCMScheduler(original_inference_steps=50)
    theirs.set_timesteps(50)
    assert sorted(set(drawn.tolist())) == sorted(theirs.timesteps.tolist())


def test_a_student_without_error_has_learned_its_teachers_whole_walk() -> None:
    """f(x, t) = f(x one step on, t one level on) down to x itself is DDIM in 50 steps."""
    loss = consistency()
    gains = {0: 1.0}
    for t in range(19, 1000, 20):
        here = torch.tensor([t])
        moved = loss.step(
            best_velocity(one := torch.ones(1, 1, 1, 1), here), one, here, loss.earlier(here)
        )
        gains[t] = moved.item() * gains[int(loss.earlier(here))]
    student = velocity_landing_at(loss, gains)
    costs = loss(student, student, best_velocity, LATENTS, NOISE, TIMESTEPS)
    assert costs.max() < 1e-6
    walked = loss.distance(student, best_velocity, LATENTS, NOISE, TIMESTEPS[3:].repeat(4), 50)
    assert walked.max() < 2e-3
    assert gains[999] == pytest.approx(exact_gains()[999], rel=0.07)


def test_the_exact_consistency_function_costs_less_the_more_levels_there_are() -> None:
    def cost(levels: int) -> float:
        loss = consistency(levels)
        exact = velocity_landing_at(loss, exact_gains())
        timesteps = torch.full((4,), 499)
        return float(loss(exact, exact, best_velocity, LATENTS, NOISE, timesteps).mean())

    assert cost(20) > 2.5 * cost(50) > 2.5 * 2.5 * cost(125)


def test_gradients_reach_the_student_alone() -> None:
    gain, slow = (torch.tensor(0.5, requires_grad=True) for _ in range(2))
    loss = consistency()
    loss(
        lambda x, _: gain * x, lambda x, _: slow * x, best_velocity, LATENTS, NOISE, TIMESTEPS
    ).mean().backward()
    assert gain.grad is not None
    assert slow.grad is None


def test_large_errors_cost_their_size_and_small_ones_their_square() -> None:
    loss = ConsistencyLoss(SCHEDULE, "v_prediction", [1.0, 1.0], huber=0.1)
    zero = torch.zeros(4, 2, 4, 4)
    assert loss._cost(zero + 10, zero, None)[0].item() == pytest.approx(9.9, rel=1e-3)
    assert loss._cost(zero + 0.01, zero, None)[0].item() == pytest.approx(0.01**2 / 0.2, rel=0.01)
    mask = torch.zeros(4, 1, 4, 4)
    assert loss._cost(zero + 1, zero, mask).tolist() == [0] * 4


def test_the_teachers_guidance_is_drawn_from_its_range() -> None:
    scales = ConsistencyLoss(SCHEDULE, "v_prediction", [2.0, 4.0]).scales(Draws(0, range(2000)))
    assert 2 <= scales.min() < scales.max() < 4
    assert abs(scales.mean() - 3) < 4 * 2 / sqrt(12 * 2000)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"levels": 30}, "levels: 30"),
        ({"guidance": [4.0, 2.0]}, "guidance"),
        ({"guidance": [0.0, 2.0]}, "guidance"),
    ],
)
def test_what_cannot_be_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ConsistencyLoss(SCHEDULE, "v_prediction", **{"guidance": [1.0, 1.0], **wrong})
