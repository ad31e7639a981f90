"""Solvers as tables of numbers: each step is a weighted sum of what the loop already holds.

Samples are kept as the denoiser sees them, `alpha * clean + sigma * noise`: with
`alpha² + sigma² = 1`, or for a flow `alpha + sigma = 1`. In this scale DDIM, Euler and the
first-order DPM-Solver++ are one formula at different noise levels, and no solver has a scale of
its own for the denoiser's input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from luciole.domain import BundleError, InvalidRequest, SolverName
from luciole.sampling.schedule import (
    FlowSchedule,
    NoiseSchedule,
    PredictionType,
    Schedule,
    TimestepSpacing,
)


@dataclass(frozen=True)
class Level:
    """A noise level: the sample is `alpha * clean + sigma * noise`."""

    alpha: float
    sigma: float

    @property
    def ratio(self) -> float:
        """Noise to signal; infinite where no signal is left."""
        return self.sigma / self.alpha if self.alpha else float("inf")

    @property
    def log_snr(self) -> float:
        """log(alpha / sigma), the lambda of DPM-Solver."""
        return log(self.alpha) - log(self.sigma)


CLEAN = Level(1.0, 0.0)


@dataclass(frozen=True)
class Step:
    """One step: `clean = clean_from_sample * x + clean_from_prediction * prediction`, then

    `x = keep * x + clean * clean + earlier_clean * (the last step's clean) + noise * N(0, 1)`.
    """

    timestep: float
    clean_from_sample: float
    clean_from_prediction: float
    keep: float
    clean: float
    earlier_clean: float = 0.0
    noise: float = 0.0
    level: Level = CLEAN
    """Where the sample is before the step."""

    @property
    def first_order(self) -> "Step":
        """The same step for a sample that has no earlier one."""
        return replace(self, clean=self.clean + self.earlier_clean, earlier_clean=0.0)


def level_of_ratio(ratio: float) -> Level:
    """The level with `sigma / alpha = ratio`."""
    alpha = 1 / sqrt(ratio**2 + 1)
    return Level(alpha, ratio * alpha)


def level_of_power(alpha_cumprod: float) -> Level:
    """The level whose signal has this power."""
    return Level(sqrt(alpha_cumprod), sqrt(1 - alpha_cumprod))


def level_of_flow(sigma: float) -> Level:
    """The level on a straight way."""
    return Level(1 - sigma, sigma)


def steps_of(solver: SolverName, schedule: Schedule, count: int) -> list[Step]:
    """The table of a solver; its length can differ from `count` only as diffusers' does."""
    if count > schedule.num_train_timesteps:
        limit = schedule.num_train_timesteps
        raise InvalidRequest("steps", f"{count} is more than this model's {limit} timesteps")
    if isinstance(schedule, NoiseSchedule):
        return SOLVERS[solver](schedule, count)
    if solver not in FLOW_SOLVERS:
        known = " or ".join(FLOW_SOLVERS)
        raise InvalidRequest("solver", f"{solver} cannot walk this flow model's way; take {known}")
    return FLOW_SOLVERS[solver](schedule, count)


def tail(steps: Sequence[Step], strength: float) -> list[Step]:
    """The last `strength` of the steps, as diffusers' image to image takes them; none for 0."""
    count = min(int(len(steps) * strength), len(steps))
    left = list(steps[len(steps) - count :])
    return [left[0].first_order, *left[1:]] if left else []


def noise_scale(solver: SolverName, schedule: Schedule, steps: list[Step]) -> float:
    """Deviation of the first sample: 1, or where diffusers' Euler has it so, its level's sigma."""
    if isinstance(schedule, FlowSchedule):
        return 1.0
    by_ratio = (SolverName.EULER, SolverName.EULER_ANCESTRAL)
    if solver not in by_ratio or schedule.timestep_spacing is TimestepSpacing.LEADING:
        return 1.0
    return level_of_ratio(_sigma_at(schedule, np.array([steps[0].timestep])).item()).sigma


def ddim(schedule: NoiseSchedule, count: int) -> list[Step]:
    """arXiv:2010.02502, eq. 12 with eta 0; the level stepped to is `num_train_timesteps // count`
    timesteps on, as diffusers has it, even where the next timestep is another.
    """
    alphas = schedule.alphas_cumprod()
    final = CLEAN if schedule.set_alpha_to_one else level_of_power(float(alphas[0]))
    stride = schedule.num_train_timesteps // count
    table = []
    for t in schedule.timesteps(count).astype(int):
        here = level_of_power(_at(alphas, t))
        there = level_of_power(_at(alphas, t - stride)) if t >= stride else final
        table.append(_first_order(schedule, float(t), here, there))
    return table


def euler(schedule: NoiseSchedule, count: int) -> list[Step]:
    """Explicit Euler on dx/dsigma (arXiv:2206.00364, algorithm 1 without the correction)."""
    timesteps = schedule.fractional_timesteps(count)
    return _first_order_walk(schedule, timesteps, _levels(schedule, timesteps))


def euler_ancestral(schedule: NoiseSchedule, count: int) -> list[Step]:
    """Euler to below the next level, then fresh noise up to it (k-diffusion's ancestral step)."""
    timesteps = schedule.fractional_timesteps(count)
    levels = _levels(schedule, timesteps)
    table = []
    for i, t in enumerate(timesteps.tolist()):
        here, there = levels[i], levels[i + 1]
        up = there.ratio * sqrt(here.ratio**2 - there.ratio**2) / here.ratio
        down = sqrt(there.ratio**2 - up**2)
        keep = there.alpha / here.alpha * down / here.ratio
        clean = there.alpha * (1 - down / here.ratio)
        prediction = _clean_weights(schedule, here)
        table.append(Step(t, *prediction, keep, clean, noise=there.alpha * up, level=here))
    return table


def dpmpp_2m(schedule: NoiseSchedule, count: int) -> list[Step]:
    """DPM-Solver++ 2M, midpoint form (arXiv:2211.01095, algorithm 2); first order at both ends."""
    timesteps = schedule.multistep_timesteps(count)
    return _second_order_walk(schedule, timesteps, _levels(schedule, timesteps))


def lcm(schedule: NoiseSchedule, count: int) -> list[Step]:
    """A consistency student's own way: all the way to clean, then fresh noise up to the next level
    (arXiv:2310.04378, algorithm 3). `c_skip` and `c_out` are those that it was trained with.
    """
    alphas, timesteps = schedule.alphas_cumprod(), schedule.consistency_timesteps(count).tolist()
    levels = [*(level_of_power(_at(alphas, t)) for t in timesteps), CLEAN]
    table = []
    for t, here, there in zip(timesteps, levels[:-1], levels[1:], strict=True):
        skip, out = boundary(t, schedule.timestep_scaling)
        weights = _clean_weights(schedule, here)
        keep, clean = there.alpha * skip, there.alpha * out
        table.append(Step(t, *weights, keep, clean, noise=there.sigma, level=here))
    return table


def boundary(timestep: float, scaling: float) -> tuple[float, float]:
    """`c_skip` and `c_out`: 1 and 0 at timestep 0 (arXiv:2310.04378, appendix C, with σ = ½)."""
    squared = (scaling * timestep) ** 2
    return 0.25 / (squared + 0.25), sqrt(squared / (squared + 0.25))


def flow_euler(schedule: FlowSchedule, count: int) -> list[Step]:
    """Straight on, where diffusers' FlowMatchEuler stops."""
    sigmas = schedule.sigmas(count)
    levels = [*map(level_of_flow, sigmas.tolist()), CLEAN]
    return _first_order_walk(schedule, sigmas * schedule.num_train_timesteps, levels)


def flow_dpmpp_2m(schedule: FlowSchedule, count: int) -> list[Step]:
    """DPM-Solver++ 2M; timesteps are whole, as diffusers has them."""
    sigmas = schedule.multistep_sigmas(count)
    levels = [*map(level_of_flow, sigmas.tolist()), CLEAN]
    return _second_order_walk(schedule, np.trunc(sigmas * schedule.num_train_timesteps), levels)


SOLVERS: dict[SolverName, Callable[[NoiseSchedule, int], list[Step]]] = {
    SolverName.DDIM: ddim,
    SolverName.EULER: euler,
    SolverName.EULER_ANCESTRAL: euler_ancestral,
    SolverName.DPMPP_2M: dpmpp_2m,
    SolverName.LCM: lcm,
}
FLOW_SOLVERS: dict[SolverName, Callable[[FlowSchedule, int], list[Step]]] = {
    SolverName.EULER: flow_euler,
    SolverName.DPMPP_2M: flow_dpmpp_2m,
}


def _first_order_walk(
    schedule: Schedule, timesteps: NDArray[np.float64], levels: list[Level]
) -> list[Step]:
    return [
        _first_order(schedule, t, levels[i], levels[i + 1])
        for i, t in enumerate(timesteps.tolist())
    ]


def _second_order_walk(
    schedule: Schedule, timesteps: NDArray[np.float64], levels: list[Level]
) -> list[Step]:
    """First order at both ends."""
    table = _first_order_walk(schedule, timesteps, levels)
    for i in range(1, len(table) - 1):
        table[i] = _second_order(table[i], *levels[i - 1 : i + 2])
    return table


def _first_order(schedule: Schedule, timestep: float, here: Level, there: Level) -> Step:
    """Hold clean and noise still while the level changes: exact if the prediction were."""
    keep = there.sigma / here.sigma
    clean = there.alpha - keep * here.alpha
    return Step(timestep, *_clean_weights(schedule, here), keep, clean, level=here)


def _second_order(step: Step, before: Level, here: Level, there: Level) -> Step:
    """Extrapolate clean along log-SNR through the last two predictions."""
    ratio = (here.log_snr - before.log_snr) / (there.log_snr - here.log_snr)
    slope = 0.5 * step.clean / ratio
    return replace(step, clean=step.clean + slope, earlier_clean=-slope)


def _clean_weights(schedule: Schedule, level: Level) -> tuple[float, float]:
    """How sample and prediction make the clean latents at this level."""
    if isinstance(schedule, FlowSchedule):
        return 1.0, -level.sigma
    if schedule.prediction_type is PredictionType.V_PREDICTION:
        return level.alpha, -level.sigma
    if level.alpha == 0:
        raise InvalidRequest(
            "solver", "it cannot start without signal from a model that predicts epsilon"
        )
    return 1 / level.alpha, -level.ratio


def _levels(schedule: NoiseSchedule, timesteps: NDArray[np.float64]) -> list[Level]:
    """The level at each timestep, and the clean one after the last."""
    return [*map(level_of_ratio, _sigma_at(schedule, timesteps).tolist()), CLEAN]


def _sigma_at(schedule: NoiseSchedule, timesteps: NDArray[np.float64]) -> NDArray[np.float64]:
    sigmas = schedule.sigmas()
    return np.interp(timesteps, np.arange(len(sigmas)), sigmas)


def _at(values: NDArray[np.float64], timestep: int) -> float:
    if timestep >= len(values):
        raise BundleError("scheduler", f"steps_offset leads to timestep {timestep}, past the last")
    return float(values[timestep])
