"""Straight ways from noise to latents."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from luciole.diffusion.draws import Draws


class FlowMatchingLoss(nn.Module):
    """x_t = (1 − σ)·x + σ·ε; the denoiser says ε − x (rectified flow, arXiv:2209.03003, eq. 1).

    σ is logit-normal of mean `mean` and deviation `deviation` (arXiv:2403.03206, section 3.1), or
    uniform where that is None; `shift` above 1 then moves it towards noise (section 5.3.2). The
    denoiser hears the timestep `steps`·σ.
    """

    def __init__(
        self,
        deviation: float | None = 1.0,
        mean: float = 0.0,
        shift: float = 1.0,
        steps: int = 1000,
    ) -> None:
        super().__init__()
        if shift <= 0:
            raise ValueError(f"shift: {shift} must be more than 0")
        self.deviation, self.mean, self.shift, self.steps = deviation, mean, shift, steps

    def timesteps(self, draws: Draws) -> Float[Tensor, " n"]:
        """In 0..steps, not whole."""
        sigmas = draws.uniform()
        if self.deviation is not None:
            normal = torch.special.ndtri(sigmas.clamp(1e-6, 1 - 1e-6))
            sigmas = torch.sigmoid(self.mean + self.deviation * normal)
        return self.steps * self.shift * sigmas / (1 + (self.shift - 1) * sigmas)

    def forward(
        self,
        predict: Any,
        latents: Float[Tensor, "n c h w"],
        noise: Float[Tensor, "n c h w"],
        timesteps: Float[Tensor, " n"],
        mask: Float[Tensor, "n 1 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Mean squared error of each sample; a mask of mean 1 shifts attention."""
        sigmas = (timesteps / self.steps).view(-1, 1, 1, 1)
        prediction: Tensor = predict((1 - sigmas) * latents + sigmas * noise, timesteps)
        error = (prediction.float() - (noise - latents)).pow(2)
        masked = error if mask is None else error * mask
        return masked.mean(dim=(1, 2, 3))
