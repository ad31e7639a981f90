"""Noise to latents, told by words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from luciole.data.stream import Batch
from luciole.diffusion.losses import Conditions, DenoisingLoss
from luciole.models.folder import pipeline, save_folder
from luciole.models.text import TextConditions
from training.task import Task, frozen


class DenoiserTask(Task):
    """Learns the denoiser, and the text encoders along with it at `text_rate` times its rate.

    The autoencoder is only carried: for sample grids, and for the folder that is written.
    """

    def __init__(
        self,
        denoiser: Any,
        conditions: TextConditions,
        autoencoder: Any,
        scheduler: Any,
        loss: DenoisingLoss,
        prompts: Sequence[str],
        rate: float,
        text_rate: float,
        seed: int,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.denoiser, self.loss = denoiser.train(), loss
        self.conditions = conditions.train() if text_rate else frozen(conditions)
        self.autoencoder = frozen(autoencoder)
        self.scheduler, self.prompts = scheduler, list(prompts)
        self.rate, self.text_rate, self.seed = rate, text_rate, seed

    def groups(self) -> list[dict[str, Any]]:
        """The pre-trained text encoders move more slowly than the new denoiser."""
        groups: list[dict[str, Any]] = [{"params": list(self.denoiser.parameters())}]
        if self.text_rate:
            words = list(self.conditions.parameters())
            groups.append({"params": words, "lr": self.text_rate * self.rate})
        return groups

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The noise and the timesteps depend on the seed and the step alone."""
        loss = self._loss(batch, self.global_step)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Held-out latents with the same noise every time: a curve without jitter."""
        loss = self._loss(batch, -1 - batch_idx)
        self.log("val/loss", loss, prog_bar=True, batch_size=len(batch["latents"]))

    def _loss(self, batch: Batch, step: int) -> Tensor:
        latents: Tensor = batch["latents"]
        rng = torch.Generator(latents.device).manual_seed(self.seed * 1_000_003 + step)
        noise = torch.randn(latents.shape, generator=rng, device=latents.device)
        steps = self.loss.schedule.steps
        timesteps = torch.randint(steps, (len(latents),), generator=rng, device=latents.device)
        with torch.set_grad_enabled(self.text_rate > 0 and self.training):
            states, pooled = self.conditions(batch["captions"])
        told = Conditions(states, pooled, batch["time_ids"])
        loss: Tensor = self.loss(self.denoiser, latents, noise, timesteps, told)
        return loss

    @torch.no_grad()
    def samples(self, batch: Batch) -> Float[Tensor, "n 3 h w"]:
        """The configured prompts, then as many held-out ones, from the same seeds every time."""
        asked = [caption for caption in batch["captions"] if caption]
        prompts = self.prompts + asked[: len(self.prompts)]
        rng = torch.Generator().manual_seed(self.seed)
        size = 8 * batch["latents"].shape[-1]
        pictures: Tensor = self._pipeline()(
            prompts,
            width=size,
            height=size,
            num_inference_steps=16,
            guidance_scale=5.0,
            generator=rng,
            output_type="pt",
        ).images
        return pictures * 2 - 1

    def _pipeline(self) -> Any:
        parts = pipeline(self.autoencoder, self.conditions, self.denoiser, self.scheduler)
        parts.set_progress_bar_config(disable=True)
        return parts

    def write(self, folder: Path) -> None:
        """The whole diffusers folder, fp32."""
        save_folder(self._pipeline(), folder, half=False)
