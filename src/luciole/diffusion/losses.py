"""What a denoiser is asked, and how much each answer counts."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from luciole.diffusion.draws import Draws
from luciole.diffusion.schedule import NoiseSchedule

PredictionType = Literal["epsilon", "v_prediction"]
Predict = Callable[[Tensor, Tensor], Tensor]
"""Noisy latents `[n, c, h, w]` and timesteps `[n]` to what the denoiser says of them."""


class Objective(Protocol):
    """How latents are made noisy, what is asked of the denoiser, and what a mistake costs."""

    def timesteps(self, draws: Draws) -> Tensor:
        """One for each sample, as the denoiser takes them."""
        ...

    def __call__(
        self,
        predict: Predict,
        latents: Tensor,
        noise: Tensor,
        timesteps: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The loss of each sample, `[n]`; `mask [n, 1, h, w]` says where errors count."""
        ...


class DenoisingLoss(nn.Module):
    """Weighted mean squared error of the noise or of the velocity.

    In terms of the predicted picture the weight is the signal-to-noise ratio, held under
    `snr_ceiling` (min-SNR-γ, arXiv:2303.09556) and above `snr_floor` (1 is the truncation of
    arXiv:2202.00512, section 4). A schedule that ends in pure noise needs a floor: without one its
    last steps, where a picture's plan is made, count nothing.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        prediction_type: PredictionType,
        snr_ceiling: float | None = None,
        snr_floor: float = 0.0,
    ) -> None:
        super().__init__()
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ValueError(f"prediction_type: {prediction_type!r} is unknown")
        if prediction_type == "epsilon" and schedule.zero_snr:
            raise ValueError("prediction_type: epsilon says nothing where there is only noise")
        self.schedule, self.prediction_type = schedule, prediction_type
        self.snr_ceiling, self.snr_floor = snr_ceiling, snr_floor

    def timesteps(self, draws: Draws) -> Int64[Tensor, " n"]:
        """All equally likely."""
        return (draws.uniform() * self.schedule.steps).long()

    def forward(
        self,
        predict: Any,
        latents: Float[Tensor, "n c h w"],
        noise: Float[Tensor, "n c h w"],
        timesteps: Int64[Tensor, " n"],
        mask: Float[Tensor, "n 1 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Of each sample; a mask of mean 1 shifts attention and keeps the scale."""
        prediction: Tensor = predict(self.schedule.noisy(latents, noise, timesteps), timesteps)
        error = (prediction.float() - self.target(latents, noise, timesteps)).pow(2)
        masked = error if mask is None else error * mask
        return masked.mean(dim=(1, 2, 3)) * self.weight(timesteps)

    def target(
        self,
        latents: Float[Tensor, "n c h w"],
        noise: Float[Tensor, "n c h w"],
        timesteps: Int64[Tensor, " n"],
    ) -> Float[Tensor, "n c h w"]:
        """What a perfect denoiser would say."""
        if self.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self.schedule.velocity(latents, noise, timesteps)
        return velocity

    def weight(self, timesteps: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """1 without a ceiling and a floor; else the held ratio over the one the target implies.

        A picture's error is SNR⁻¹ times that of the noise and (SNR + 1)⁻¹ times the velocity's.
        """
        snr = self.schedule.snr(timesteps)
        if self.snr_ceiling is None and self.snr_floor == 0:
            return torch.ones_like(snr)
        held = snr.clamp(min=self.snr_floor, max=self.snr_ceiling)
        return held / (snr if self.prediction_type == "epsilon" else snr + 1)
