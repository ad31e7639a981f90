"""Each solver against diffusers' scheduler step by step, then against a closed form."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import sqrt
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
)
from diffusers.schedulers import scheduling_euler_ancestral_discrete as ancestral_module
from diffusers.schedulers import scheduling_lcm as lcm_module
from numpy.typing import NDArray

from luciole.domain import InvalidRequest, SolverName
from luciole.sampling import (
    FlowSchedule,
    NoiseSchedule,
    Step,
    Trajectory,
    schedule_of,
    steps_of,
    tail,
)
from luciole.sampling.solvers import Level, level_of_power, noise_scale

# diffusers hands torch tensors to np.array, which numpy 2 comments on.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = (4, 8, 8)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
Array = NDArray[np.float32]


def fake_model(prediction_type: str) -> Callable[[Array, float], Array]:
    """Something smooth in sample and time, of the size a real prediction has."""

    def predict(sample: Array, timestep: float) -> Array:
        wave = np.sin(3 * sample + timestep / 100).astype(np.float32)
        return 0.7 * sample + 0.3 * wave if prediction_type == "epsilon" else 0.6 * wave

    return predict


def reference(name: SolverName, config: dict[str, Any]) -> Any:
    match name:
        case SolverName.DDIM:
            return DDIMScheduler(**config, clip_sample=False)
        case SolverName.EULER:
            return EulerDiscreteScheduler(**config)
        case SolverName.EULER_ANCESTRAL:
            return EulerAncestralDiscreteScheduler(**config)
        case SolverName.DPMPP_2M:
            return DPMSolverMultistepScheduler(**config)
        case SolverName.LCM:
            return LCMScheduler(**config, original_inference_steps=40)


def seen_by_denoiser(scheduler: Any, sample: Array, i: int) -> Array:
    """diffusers' Euler keeps samples as clean + sigma * noise; the denoiser sees them scaled."""
    if isinstance(scheduler, (EulerDiscreteScheduler, EulerAncestralDiscreteScheduler)):
        return (sample / float(scheduler.sigmas[i] ** 2 + 1) ** 0.5).astype(np.float32)
    return sample


@contextmanager
def given(noise: Array) -> Iterator[None]:
    """What diffusers' schedulers draw inside this block."""
    with ExitStack() as patched:
        for module in (ancestral_module, lcm_module):
            draw = patch.object(module, "randn_tensor", lambda *_, **__: torch.from_numpy(noise))
            patched.enter_context(draw)
        yield


def reference_walk(scheduler: Any, start: Array, noises: list[Array], model: Any) -> list[Array]:
    """What the denoiser sees at each step, and the final latents."""
    sample = start * float(getattr(scheduler, "init_noise_sigma", 1))
    seen = []
    for i, t in enumerate(scheduler.timesteps):
        if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
            scheduler.scale_model_input(torch.from_numpy(sample), t)
        seen.append(seen_by_denoiser(scheduler, sample, i))
        prediction = torch.from_numpy(model(seen[-1], float(t)))
        with given(noises[i]):
            sample = scheduler.step(prediction, t, torch.from_numpy(sample)).prev_sample.numpy()
    return [*seen, seen_by_denoiser(scheduler, sample, len(seen))]


def our_walk(steps: list[Step], start: Array, noises: list[Array], model: Any) -> list[Array]:
    supply = iter(noises)
    trajectory = Trajectory(start, steps, 1.0, lambda: next(supply))
    seen = [trajectory.latents]
    while trajectory.running:
        timestep = steps[trajectory.done].timestep
        trajectory.advance(model(trajectory.latents, timestep))
        seen.append(trajectory.latents)
    return seen


@pytest.mark.parametrize("count", [1, 2, 7, 20])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SolverName))
def test_every_step_is_that_of_diffusers(
    name: SolverName,
    prediction_type: str,
    zero_snr: bool,
    spacing: str,
    count: int,
) -> None:
    config = {
        **BETAS,
        "prediction_type": prediction_type,
        "rescale_betas_zero_snr": zero_snr,
        "timestep_spacing": spacing,
        "steps_offset": 1,
    }
    learned = {"original_inference_steps": 40} if name is SolverName.LCM else {}
    schedule = NoiseSchedule.from_config({**config, **learned})
    starts_blind = spacing != "leading" and zero_snr and prediction_type == "epsilon"
    if name is SolverName.LCM and zero_snr and prediction_type == "epsilon":
        with pytest.raises(InvalidRequest, match="without signal"):
            steps_of(name, schedule, count)
        return
    if name is SolverName.DDIM and starts_blind:
        if count > 1 or spacing == "trailing":
            with pytest.raises(InvalidRequest, match="without signal"):
                steps_of(name, schedule, count)
        return
    scheduler = reference(name, config)
    scheduler.set_timesteps(count)
    steps = steps_of(name, schedule, count)
    draw = np.random.default_rng(count)
    start, *noises = (draw.standard_normal(SHAPE, np.float32) for _ in range(count + 1))
    model = fake_model(prediction_type)
    theirs = reference_walk(scheduler, start, noises, model)
    ours = our_walk(steps, start * noise_scale(name, schedule, steps), noises, model)
    assert len(ours) == len(theirs) == count + 1
    # Without signal diffusers' Euler keeps samples of size 4096 in float32, and epsilon is divided
    # by alpha = 2**-12 by everyone: either way what is left of 2**-24 is some 1e-3.
    without_signal = zero_snr and spacing != "leading"
    tolerance = 3e-3 if without_signal and (starts_blind or "euler" in name) else 3e-5
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=tolerance * max(1, float(np.abs(b).max())), err_msg=f"step {i}"
        )


@pytest.mark.parametrize("count", [1, 2, 7, 20])
@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("name", [SolverName.EULER, SolverName.DPMPP_2M])
def test_every_step_of_a_flow_is_that_of_diffusers(
    name: SolverName, shift: float, count: int
) -> None:
    scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=shift)
    if name is SolverName.DPMPP_2M:
        scheduler = DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
        )
    scheduler.set_timesteps(count)
    steps = steps_of(name, schedule_of(scheduler.config), count)
    np.testing.assert_allclose([s.timestep for s in steps], scheduler.timesteps, rtol=1e-6)
    draw = np.random.default_rng(count)
    start, *noises = (draw.standard_normal(SHAPE, np.float32) for _ in range(count + 1))
    model = fake_model("v_prediction")
    theirs = reference_walk(scheduler, start, noises, model)
    ours = our_walk(steps, start, noises, model)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4, err_msg=f"step {i}")


def test_a_straight_flow_arrives_in_one_step() -> None:
    """With one picture in the world the way from any noise to it is a straight line."""
    picture = np.full(SHAPE, 0.3, np.float32)
    start = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    for count in (1, 5):
        steps = steps_of(SolverName.EULER, FlowSchedule(), count)
        arrived = our_walk(steps, start, [], lambda *_: start - picture)[-1]
        np.testing.assert_allclose(arrived, picture, atol=1e-6)


@pytest.mark.parametrize("name", [SolverName.DDIM, SolverName.EULER_ANCESTRAL, SolverName.LCM])
def test_a_flow_refuses_the_solvers_that_cannot_walk_it(name: SolverName) -> None:
    with pytest.raises(InvalidRequest, match=r"solver: .*euler or dpmpp_2m"):
        steps_of(name, FlowSchedule(), 4)


def test_more_steps_than_a_student_learned_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="steps: 51 is more than the 50"):
        steps_of(SolverName.LCM, NoiseSchedule(), 51)


def gaussian_error(name: SolverName, count: int, deviation: float = 0.5) -> float:
    """Distance from the ODE's exact solution half way, for data N(0, deviation²): there the best
    prediction is linear and `x(t) = x(T) * std(t) / std(T)`. Half way, because the last step to
    no noise at all is of first order in every solver.
    """
    schedule = NoiseSchedule.from_config(
        {
            **BETAS,
            "num_train_timesteps": 4000,
            "beta_start": 0.0002,
            "beta_end": 0.003,
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
        }
    )
    powers = schedule.alphas_cumprod()
    steps = steps_of(name, schedule, count)
    trajectory = Trajectory(np.ones(1, np.float32), steps, 1.0, lambda: np.zeros(1, np.float32))
    for step in steps[: count // 2]:
        level = level_of_power(float(powers[int(step.timestep)]))
        clean = level.alpha * deviation**2 / spread(level, deviation) ** 2 * trajectory.latents
        velocity = (level.alpha * trajectory.latents - clean) / level.sigma
        trajectory.advance(velocity.astype(np.float32))
    half = level_of_power(float(powers[int(steps[count // 2].timestep)]))
    exact = spread(half, deviation) / spread(level_of_power(float(powers[-1])), deviation)
    return abs(float(trajectory.latents[0]) - exact)


def spread(level: Level, deviation: float) -> float:
    """Standard deviation of noisy data at a level."""
    return sqrt((level.alpha * deviation) ** 2 + level.sigma**2)


@pytest.mark.parametrize("name", [SolverName.DDIM, SolverName.EULER])
def test_twice_the_steps_leave_half_of_a_first_order_error(name: SolverName) -> None:
    ratio = gaussian_error(name, 50) / gaussian_error(name, 100)
    assert ratio == pytest.approx(2, rel=0.15)


def test_twice_the_steps_leave_a_quarter_of_a_second_order_error() -> None:
    ratio = gaussian_error(SolverName.DPMPP_2M, 50) / gaussian_error(SolverName.DPMPP_2M, 100)
    assert ratio == pytest.approx(4, rel=0.25)


def test_more_steps_than_timesteps_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="steps: 11"):
        steps_of(SolverName.DDIM, NoiseSchedule(num_train_timesteps=10), 11)


@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", [SolverName.DDIM, SolverName.EULER, SolverName.DPMPP_2M])
def test_a_start_from_a_picture_is_that_of_diffusers(
    name: SolverName, prediction_type: str, strength: float
) -> None:
    config = {**BETAS, "prediction_type": prediction_type, "timestep_spacing": "trailing"}
    scheduler, model = reference(name, config), fake_model(prediction_type)
    scheduler.set_timesteps(12)
    chance = np.random.default_rng(0)
    picture, noise = (chance.standard_normal(SHAPE, dtype=np.float32) for _ in range(2))
    begin = 12 - int(12 * strength)
    if name is not SolverName.DDIM:
        scheduler.set_begin_index(begin)
    first = scheduler.timesteps[begin : begin + 1]
    pair = torch.from_numpy(picture)[None], torch.from_numpy(noise)[None]
    sample = scheduler.add_noise(*pair, first)[0].numpy()
    for i, t in enumerate(scheduler.timesteps[begin:]):
        scheduler.scale_model_input(torch.from_numpy(sample), t)
        seen = seen_by_denoiser(scheduler, sample, begin + i)
        said = torch.from_numpy(model(seen, float(t)))
        sample = scheduler.step(said, t, torch.from_numpy(sample)).prev_sample.numpy()
    steps = tail(steps_of(name, NoiseSchedule.from_config(config), 12), strength)
    level = steps[0].level
    start = (level.alpha * picture + level.sigma * noise).astype(np.float32)
    np.testing.assert_allclose(our_walk(steps, start, [], model)[-1], sample, atol=2e-4)
