"""What all tasks that teach a denoiser share: chance, the loss, samples."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from luciole.data.stream import Batch
from luciole.diffusion.draws import Draws
from luciole.diffusion.losses import Objective, Predict
from luciole.diffusion.noise import drawn_noise
from luciole.models.folder import pipeline
from luciole.models.text import TextConditions
from training.task import Task, frozen

TRAINING, VALIDATION = 0, 1
"""Purposes of chance: validation never draws what training draws."""


def telling(denoiser: Any, states: Tensor, pooled: Tensor, time_ids: Tensor) -> Predict:
    """The denoiser with its words and sizes said: of SDXL's kind, or called like one."""
    told = {"text_embeds": pooled, "time_ids": time_ids}

    def answer(noisy: Tensor, timesteps: Tensor) -> Tensor:
        said: Tensor = denoiser(noisy, timesteps, states, added_cond_kwargs=told).sample
        return said

    return answer


class DiffusionTask(Task):
    """Noise to latents, told by words; what else a recipe tells the denoiser is in `predict`.

    The words and the autoencoder are frozen here, the denoiser as it comes. The noise and the
    timestep of each sample depend on the seed and its place in the stream alone.
    """

    def __init__(
        self,
        denoiser: Any,
        conditions: TextConditions,
        autoencoder: Any,
        scheduler: Any,
        loss: Objective,
        prompts: Sequence[str],
        seed: int,
        offset_noise: float = 0.0,
        sample_steps: int = 16,
        sample_guidance: float = 5.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.denoiser, self.loss, self.offset_noise = denoiser, loss, offset_noise
        self.sample_steps, self.sample_guidance = sample_steps, sample_guidance
        self.conditions, self.autoencoder = frozen(conditions), frozen(autoencoder)
        self.scheduler, self.prompts, self.seed = scheduler, list(prompts), seed

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean over the batch."""
        loss = self.losses(batch, TRAINING).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Held-out latents with the same noise and timesteps every time: a curve without jitter."""
        loss = self.losses(batch, VALIDATION).mean()
        self.log("val/loss", loss, prog_bar=True, batch_size=len(batch["latents"]))

    def losses(self, batch: Batch, purpose: int) -> Float[Tensor, " n"]:
        """Of each sample; a batch may bring a `mask` [n, 1, h, w] and a `weight` [n]."""
        latents: Tensor = batch["latents"]
        draws = self.draws(batch, purpose)
        noise = drawn_noise(draws, latents, self.offset_noise)
        timesteps = self.loss.timesteps(draws)
        each = self.loss(self.predict(batch, draws), latents, noise, timesteps, batch.get("mask"))
        return each * batch["weight"] if "weight" in batch else each

    def draws(self, batch: Batch, purpose: int) -> Draws:
        """The chance of these samples; validation's timesteps are spread evenly over all."""
        device = batch["latents"].device
        return Draws(self.seed, batch["places"], device, purpose, even=purpose == VALIDATION)

    def predict(self, batch: Batch, draws: Draws) -> Predict:
        """The denoiser, told this batch's words and sizes."""
        return telling(self.denoiser, *self.words(batch), batch["time_ids"])

    @torch.no_grad()
    def words(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """States [n, t, d] and the pooled summary [n, p] of the captions."""
        states, pooled = self.conditions(batch["captions"])
        return states, pooled

    @torch.no_grad()
    def samples(self, batch: Batch) -> Float[Tensor, "n 3 h w"]:
        """The configured prompts, then as many held-out ones, from the same seeds every time."""
        asked = [caption for caption in batch["captions"] if caption]
        prompts = self.prompts + asked[: len(self.prompts)]
        size = 8 * batch["latents"].shape[-1]
        pictures: Tensor = self.pipeline()(
            prompts,
            width=size,
            height=size,
            num_inference_steps=self.sample_steps,
            guidance_scale=self.sample_guidance,
            generator=torch.Generator().manual_seed(self.seed),
            output_type="pt",
        ).images
        return pictures * 2 - 1

    def pipeline(self) -> Any:
        """The parts as diffusers' own pipeline, quiet."""
        parts = pipeline(self.autoencoder, self.conditions, self.denoiser, self.scheduler)
        parts.set_progress_bar_config(disable=True)
        return parts
