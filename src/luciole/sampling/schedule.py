"""How much noise there is at each training timestep, read from a diffusers scheduler's config."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from luciole.domain import BundleError, InvalidRequest

SNR_FLOOR = 2.0**-24
"""What diffusers puts in place of a last alphas_cumprod of zero, so that its sigma stays finite."""

REFUSED = (
    "clip_sample",
    "thresholding",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "use_lu_lambdas",
    "use_flow_sigmas",
    "trained_betas",
)
"""Settings of diffusers' schedulers that would change the picture and are not done here."""

FLOW_REFUSED = (
    *(name for name in REFUSED if name != "use_flow_sigmas"),
    "use_dynamic_shifting",
    "invert_sigmas",
    "shift_terminal",
    "stochastic_sampling",
)
"""The same where the ways are straight."""

REQUIRED = {
    "final_sigmas_type": "zero",
    "interpolation_type": "linear",
    "timestep_type": "discrete",
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "solver_type": "midpoint",
}
"""Settings that diffusers lets one vary and that have one value here."""


class BetaSchedule(StrEnum):
    """Whether beta, or its square root, grows evenly over the timesteps."""

    LINEAR = "linear"
    SCALED_LINEAR = "scaled_linear"


class PredictionType(StrEnum):
    """What the denoiser answers: the noise, or the velocity (arXiv:2202.00512)."""

    EPSILON = "epsilon"
    V_PREDICTION = "v_prediction"


class TimestepSpacing(StrEnum):
    """How few steps are spread over many timesteps (arXiv:2305.08891, table 2)."""

    LEADING = "leading"
    TRAILING = "trailing"
    LINSPACE = "linspace"


class NoiseSchedule(BaseModel):
    """The forward process; the fields and their defaults are those of diffusers' schedulers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_train_timesteps: int = Field(default=1000, ge=1)
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: BetaSchedule = BetaSchedule.LINEAR
    prediction_type: PredictionType = PredictionType.EPSILON
    timestep_spacing: TimestepSpacing = TimestepSpacing.LEADING
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False
    set_alpha_to_one: bool = True
    original_inference_steps: int = Field(default=50, ge=1)
    timestep_scaling: float = 10.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "NoiseSchedule":
        """Read a scheduler_config.json; BundleError names the setting that is unknown here."""
        refuse(config, REFUSED)
        try:
            return cls.model_validate(dict(config))
        except ValidationError as error:
            raise _named(error) from error

    def alphas_cumprod(self) -> NDArray[np.float64]:
        """Remaining signal power at each timestep, rounded to float32 where diffusers rounds.

        With `rescale_betas_zero_snr` the last one is 0 (arXiv:2305.08891, algorithm 1).
        """
        power = 2 if self.beta_schedule is BetaSchedule.SCALED_LINEAR else 1
        first, last = self.beta_start ** (1 / power), self.beta_end ** (1 / power)
        betas = np.linspace(first, last, self.num_train_timesteps).astype(np.float32) ** power
        if self.rescale_betas_zero_snr:
            betas = _zero_terminal_snr(betas)
        return _cumulative_product(1 - betas).astype(np.float64)

    def floored_alphas_cumprod(self) -> NDArray[np.float64]:
        """As above, but never quite zero: what diffusers' Euler and DPM-Solver work with."""
        alphas = self.alphas_cumprod()
        if self.rescale_betas_zero_snr:
            alphas[-1] = SNR_FLOOR
        return alphas

    def sigmas(self) -> NDArray[np.float64]:
        """Noise to signal at each timestep, finite everywhere."""
        alphas = self.floored_alphas_cumprod()
        return np.asarray(np.sqrt((1 - alphas) / alphas))

    def timesteps(self, steps: int) -> NDArray[np.float64]:
        """Whole timesteps from noisy to clean, spread as diffusers' DDIM spreads them."""
        last = self.num_train_timesteps
        match self.timestep_spacing:
            case TimestepSpacing.LINSPACE:
                return np.linspace(0, last - 1, steps).round()[::-1]
            case TimestepSpacing.LEADING:
                return (
                    np.arange(steps, dtype=np.float64)[::-1] * (last // steps) + self.steps_offset
                )
            case TimestepSpacing.TRAILING:
                return np.arange(last, 0, -last / steps, dtype=np.float64).round() - 1

    def consistency_timesteps(self, steps: int) -> NDArray[np.int64]:
        """As diffusers' LCM takes them: of the ones that a student learned, evenly by index.

        InvalidRequest where a student learned fewer.
        """
        learned = self.original_inference_steps
        if steps > learned:
            raise InvalidRequest("steps", f"{steps} is more than the {learned} that LCM learned")
        stride = self.num_train_timesteps // learned
        places = np.floor(np.linspace(0, learned, steps, endpoint=False)).astype(np.int64)
        return np.asarray((np.arange(learned, 0, -1) * stride - 1)[places])

    def fractional_timesteps(self, steps: int) -> NDArray[np.float64]:
        """As diffusers' Euler spreads them: `linspace` is not rounded to whole timesteps."""
        if self.timestep_spacing is TimestepSpacing.LINSPACE:
            even = np.linspace(0, self.num_train_timesteps - 1, steps, dtype=np.float32)
            return even[::-1].astype(np.float64)
        return self.timesteps(steps)

    def multistep_timesteps(self, steps: int) -> NDArray[np.float64]:
        """As diffusers' DPM-Solver spreads them: one more step, of which the cleanest is left."""
        last = self.num_train_timesteps
        match self.timestep_spacing:
            case TimestepSpacing.LINSPACE:
                return np.linspace(0, last - 1, steps + 1).round()[::-1][:-1]
            case TimestepSpacing.LEADING:
                ratio = last // (steps + 1)
                return np.arange(steps, 0, -1, dtype=np.float64) * ratio + self.steps_offset
            case TimestepSpacing.TRAILING:
                return self.timesteps(steps)


class FlowSchedule(BaseModel):
    """Straight ways from noise to latents: `(1 − σ)·clean + σ·noise`, timestep `1000·σ`.

    arXiv:2209.03003; `shift` holds on to the noise for longer (arXiv:2403.03206, section 5.3.2).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_train_timesteps: int = Field(default=1000, ge=1)
    shift: float = Field(default=1.0, gt=0, validation_alias=AliasChoices("flow_shift", "shift"))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "FlowSchedule":
        """Of diffusers' FlowMatchEuler or a DPM-Solver with flow sigmas; else BundleError."""
        refuse(config, FLOW_REFUSED)
        try:
            return cls.model_validate(dict(config))
        except ValidationError as error:
            raise _named(error) from error

    def sigmas(self, steps: int) -> NDArray[np.float64]:
        """As diffusers' FlowMatchEuler spreads them, which shifts the smallest twice."""
        smallest = self._shifted(np.array(1 / self.num_train_timesteps)).item()
        return self._shifted(np.linspace(1, smallest, steps))

    def multistep_sigmas(self, steps: int) -> NDArray[np.float64]:
        """As diffusers' DPM-Solver spreads them: it begins just below pure noise."""
        even = 1 - np.linspace(1, 1 / self.num_train_timesteps, steps + 1)
        return self._shifted(even)[:0:-1]

    def _shifted(self, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.shift * sigmas / (1 + (self.shift - 1) * sigmas))


Schedule = NoiseSchedule | FlowSchedule


def schedule_of(config: Mapping[str, Any]) -> Schedule:
    """What a scheduler_config.json describes; BundleError names a setting unknown here."""
    if "shift" in config or config.get("prediction_type") == "flow_prediction":
        return FlowSchedule.from_config(config)
    return NoiseSchedule.from_config(config)


def refuse(config: Mapping[str, Any], names: Iterable[str]) -> None:
    """BundleError for a setting that is switched on, or has another value than the one done."""
    for name in names:
        if config.get(name):
            raise BundleError("scheduler", f"{name}={config[name]!r} is not supported")
    for name, only in REQUIRED.items():
        if config.get(name, only) != only:
            raise BundleError("scheduler", f"{name} must be {only!r}")


def _named(error: ValidationError) -> BundleError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return BundleError("scheduler", f"{name}: {first['msg']}")


def _cumulative_product(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Accumulated in float64 and rounded once per element, as torch does on CPUs."""
    return np.cumprod(values.astype(np.float64)).astype(np.float32)


def _zero_terminal_snr(betas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shift and stretch sqrt(alphas_cumprod) to end at 0 (arXiv:2305.08891, algorithm 1)."""
    roots = np.sqrt(_cumulative_product(1 - betas))
    first, last = roots[0], roots[-1]
    roots = (roots - last) * (first / (first - last))
    powers = roots**2
    alphas = np.concatenate([powers[:1], powers[1:] / powers[:-1]])
    return np.asarray(1 - alphas, dtype=np.float32)
