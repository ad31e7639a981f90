import numpy as np
import pytest
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from luciole.domain import BundleError
from luciole.sampling import NoiseSchedule, schedule_of

# diffusers hands torch tensors to np.array, which numpy 2 comments on.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SPACINGS = ["leading", "trailing", "linspace"]
STEPS = [1, 2, 3, 7, 10, 20, 30, 50, 99, 200]


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("betas", [STABLE, {"beta_schedule": "linear"}])
def test_alphas_are_those_of_diffusers(betas: dict[str, object], zero_snr: bool) -> None:
    config = {**betas, "rescale_betas_zero_snr": zero_snr}
    ours = NoiseSchedule.from_config(config).alphas_cumprod()
    theirs = DDIMScheduler(**config).alphas_cumprod.double().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-12)


def test_zero_terminal_snr_ends_without_signal() -> None:
    schedule = NoiseSchedule.from_config({**STABLE, "rescale_betas_zero_snr": True})
    assert schedule.alphas_cumprod()[-1] == 0
    assert schedule.floored_alphas_cumprod()[-1] == 2**-24
    assert schedule.sigmas()[-1] == pytest.approx(4096, rel=1e-6)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_timesteps_are_those_of_diffusers(spacing: str, steps: int) -> None:
    config = {**STABLE, "timestep_spacing": spacing, "steps_offset": 1}
    schedule = NoiseSchedule.from_config(config)
    for scheduler_class, ours in (
        (DDIMScheduler, schedule.timesteps),
        (EulerDiscreteScheduler, schedule.fractional_timesteps),
        (DPMSolverMultistepScheduler, schedule.multistep_timesteps),
    ):
        theirs = scheduler_class(**config)
        theirs.set_timesteps(steps)
        np.testing.assert_array_equal(ours(steps), theirs.timesteps.numpy())
        assert len(ours(steps)) == steps


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("clip_sample", True),
        ("use_karras_sigmas", True),
        ("final_sigmas_type", "sigma_min"),
        ("beta_schedule", "squaredcos_cap_v2"),
        ("prediction_type", "sample"),
    ],
)
def test_a_setting_that_is_not_done_here_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(BundleError, match=f"scheduler: {setting}"):
        NoiseSchedule.from_config({**STABLE, setting: value})


@pytest.mark.parametrize("setting", ["use_dynamic_shifting", "stochastic_sampling", "shift"])
def test_a_setting_of_a_flow_that_is_not_done_here_is_refused_by_name(setting: str) -> None:
    value = -1.0 if setting == "shift" else True
    with pytest.raises(BundleError, match=f"scheduler: .*{setting}"):
        schedule_of({"shift": 1.0, setting: value})
