"""What a denoiser is asked, and how much each answer counts."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from luciole.diffusion.schedule import NoiseSchedule

PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class Conditions:
    """What SDXL's denoiser is told beside the noisy latents."""

    text_states: Float[Tensor, "n t d"]
    pooled: Float[Tensor, "n p"]
    time_ids: Float[Tensor, "n 6"]


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

    def forward(
        self,
        denoiser: Any,
        latents: Float[Tensor, "n c h w"],
        noise: Float[Tensor, "n c h w"],
        timesteps: Int64[Tensor, " n"],
        conditions: Conditions,
    ) -> Float[Tensor, ""]:
        """The mean over a batch."""
        told = {"text_embeds": conditions.pooled, "time_ids": conditions.time_ids}
        prediction = denoiser(
            self.schedule.noisy(latents, noise, timesteps),
            timesteps,
            conditions.text_states,
            added_cond_kwargs=told,
        ).sample
        error = (prediction.float() - self.target(latents, noise, timesteps)).pow(2)
        loss: Tensor = (error.mean(dim=(1, 2, 3)) * self.weight(timesteps)).mean()
        return loss

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
