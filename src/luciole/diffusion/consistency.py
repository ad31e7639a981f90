"""Few-step students: wherever a teacher's path to clean is entered, say where it ends.

arXiv:2310.04378 (latent consistency) over arXiv:2303.01469 (consistency models).
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from luciole.diffusion.draws import Draws
from luciole.diffusion.losses import PredictionType
from luciole.diffusion.schedule import NoiseSchedule

Latents = Float[Tensor, "n c h w"]
Times = Int64[Tensor, " n"]


class ConsistencyLoss(nn.Module):
    """What the student says at one level should be what its slow copy says one level earlier.

    A path has `levels` levels, evenly spread and ending in pure noise; the teacher leads from one
    to the level before it by a step of DDIM, guided by a scale drawn from `guidance` (1 is none).
    Differences cost √(d² + huber²) − huber each. `scaling` says how fast `c_skip` falls.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        prediction_type: PredictionType,
        guidance: Sequence[float],
        levels: int = 50,
        scaling: float = 10.0,
        huber: float = 1e-3,
    ) -> None:
        super().__init__()
        if schedule.steps % levels:
            raise ValueError(f"levels: {levels} do not divide {schedule.steps} timesteps")
        if len(guidance) != 2 or not 1 <= guidance[0] <= guidance[1]:
            raise ValueError(f"guidance: {guidance} must be [least, most], both at least 1")
        self.schedule, self.prediction_type = schedule, prediction_type
        self.guidance, self.levels, self.scaling, self.huber = guidance, levels, scaling, huber

    def timesteps(self, draws: Draws) -> Times:
        """One level a sample, all equally likely; the last is pure noise."""
        return ((draws.uniform() * self.levels).long() + 1) * self._stride - 1

    def earlier(self, timesteps: Times) -> Times:
        """The level before, or timestep 0, where the answer is what one sees."""
        return (timesteps - self._stride).clamp(min=0)

    def scales(self, draws: Draws) -> Float[Tensor, " n"]:
        """How much guidance the teacher gets."""
        least, most = self.guidance
        return least + (most - least) * draws.uniform()

    def forward(
        self,
        student: Any,
        target: Any,
        teacher: Any,
        latents: Latents,
        noise: Latents,
        timesteps: Times,
        mask: Float[Tensor, "n 1 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Of each sample; the three are `Predict`s. Only the student gets gradients."""
        noisy = self.schedule.noisy(latents, noise, timesteps)
        with torch.no_grad():
            before = self.earlier(timesteps)
            less_noisy = self.step(teacher(noisy, timesteps), noisy, timesteps, before)
            aim = self.landing(target(less_noisy, before), less_noisy, before)
        return self._cost(self.landing(student(noisy, timesteps), noisy, timesteps), aim, mask)

    @torch.no_grad()
    def distance(
        self,
        student: Any,
        teacher: Any,
        latents: Latents,
        noise: Latents,
        timesteps: Times,
        walk: int,
        mask: Float[Tensor, "n 1 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        """From where the student lands to where the teacher comes in `walk` steps of DDIM."""
        noisy = self.schedule.noisy(latents, noise, timesteps)
        landed = self.landing(student(noisy, timesteps), noisy, timesteps)
        here = timesteps
        for done in range(walk):
            there = (timesteps * (walk - done - 1)) // walk
            noisy, here = self.step(teacher(noisy, here), noisy, here, there), there
        return self._cost(landed, noisy, mask)

    def landing(self, prediction: Tensor, noisy: Latents, timesteps: Times) -> Latents:
        """f(x_t, t) = c_skip·x_t + c_out·(the clean latents predicted)."""
        skip, out = self.boundary(timesteps)
        clean, _ = self.parts(prediction, noisy, timesteps)
        return skip * noisy + out * clean

    def boundary(
        self, timesteps: Times
    ) -> tuple[Float[Tensor, "n 1 1 1"], Float[Tensor, "n 1 1 1"]]:
        """`c_skip` and `c_out`, 1 and 0 at timestep 0 (arXiv:2310.04378, appendix C; σ is ½)."""
        squared = (self.scaling * timesteps.float().view(-1, 1, 1, 1)) ** 2
        return 0.25 / (squared + 0.25), (squared / (squared + 0.25)).sqrt()

    def step(self, prediction: Tensor, noisy: Latents, here: Times, there: Times) -> Latents:
        """One of DDIM, from level to level (arXiv:2010.02502, eq. 12 with σ 0)."""
        clean, noise = self.parts(prediction, noisy, here)
        return self.schedule.noisy(clean, noise, there)

    def parts(
        self, prediction: Tensor, noisy: Latents, timesteps: Times
    ) -> tuple[Latents, Latents]:
        """The clean latents and the noise that the prediction stands for."""
        kept = self.schedule.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        signal, sigma = kept.sqrt(), (1 - kept).sqrt()
        said = prediction.float()
        if self.prediction_type == "epsilon":
            return (noisy - sigma * said) / signal, said
        return signal * noisy - sigma * said, signal * said + sigma * noisy

    @property
    def _stride(self) -> int:
        return self.schedule.steps // self.levels

    def _cost(
        self, landed: Latents, aim: Latents, mask: Float[Tensor, "n 1 h w"] | None
    ) -> Float[Tensor, " n"]:
        error = ((landed - aim).pow(2) + self.huber**2).sqrt() - self.huber
        return (error if mask is None else error * mask).mean(dim=(1, 2, 3))
