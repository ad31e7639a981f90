"""A student that needs few steps, and no guidance, from a base that needs many."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from jaxtyping import Float
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor

from luciole.data.stream import Batch
from luciole.diffusion.consistency import ConsistencyLoss
from luciole.diffusion.ema import SlowCopy
from luciole.diffusion.losses import Predict
from luciole.diffusion.noise import drawn_noise
from luciole.models.folder import save_folder
from luciole.models.text import TextConditions
from training.diffusion import VALIDATION, DiffusionTask, telling
from training.task import frozen


class DistillTask(DiffusionTask):
    """Latent consistency (arXiv:2310.04378): the student begins as the teacher.

    With `lora` only an adapter learns (arXiv:2311.05556), else the whole denoiser. Guidance is the
    teacher's and goes into the student's weights. Validation tells how far the student lands from
    the end of the teacher's own walk of `walk` steps, guided by the middle of the range.
    """

    def __init__(
        self,
        denoiser: Any,
        teacher: Any,
        conditions: TextConditions,
        autoencoder: Any,
        loss: ConsistencyLoss,
        target_decay: float,
        walk: int,
        lora: LoraConfig | None = None,
        **training: Any,
    ) -> None:
        if lora is not None:
            denoiser.add_adapter(lora)
        objective: Any = loss
        super().__init__(denoiser.train(), conditions, autoencoder, loss=objective, **training)
        self.consistency, self.lora, self.walk = loss, lora, walk
        self.teacher, self.target = frozen(teacher), SlowCopy(denoiser, target_decay)

    def losses(self, batch: Batch, purpose: int) -> Float[Tensor, " n"]:
        """Of each sample; a batch may bring a `mask` [n, 1, h, w] and a `weight` [n]."""
        latents: Tensor = batch["latents"]
        draws = self.draws(batch, purpose)
        noise = drawn_noise(draws, latents, self.offset_noise)
        timesteps, scales = self.consistency.timesteps(draws), self.consistency.scales(draws)
        words = self.words(batch)
        student = telling(self.denoiser, *words, batch["time_ids"])
        asked, mask = (latents, noise, timesteps), batch.get("mask")
        if purpose == VALIDATION:
            middle = torch.full_like(scales, sum(self.consistency.guidance) / 2)
            teacher = self.guided(words, batch["time_ids"], middle)
            each = self.consistency.distance(student, teacher, *asked, self.walk, mask)
        else:
            teacher = self.guided(words, batch["time_ids"], scales)
            target = telling(partial(self.target, self.denoiser), *words, batch["time_ids"])
            each = self.consistency(student, target, teacher, *asked, mask)
        return each * batch["weight"] if "weight" in batch else each

    def guided(
        self, words: tuple[Tensor, Tensor], time_ids: Tensor, scales: Float[Tensor, " n"]
    ) -> Predict:
        """The teacher, pushed away from the empty prompt (arXiv:2207.12598; a scale of 1 is none).

        Both answers come from one pass over twice the batch.
        """
        empty = self.words({"captions": [""]})
        states, pooled = (
            torch.cat([said, unsaid.expand_as(said)])
            for said, unsaid in zip(words, empty, strict=True)
        )
        predict = telling(self.teacher, states, pooled, time_ids.repeat(2, 1))
        by = scales.view(-1, 1, 1, 1)

        def answer(noisy: Tensor, timesteps: Tensor) -> Tensor:
            said, unsaid = predict(noisy.repeat(2, 1, 1, 1), timesteps.repeat(2)).float().chunk(2)
            return unsaid + by * (said - unsaid)

        return answer

    def optimizer_step(self, *step: Any, **more: Any) -> None:
        """The slow copy follows each step, before a checkpoint can be written."""
        super().optimizer_step(*step, **more)
        self.target.update(self.denoiser)

    def write(self, folder: Path) -> None:
        """The whole diffusers folder, fp32; or the adapter's file alone, fp16."""
        if self.lora is None:
            save_folder(self.pipeline(), folder, half=False)
            return
        weights = get_peft_model_state_dict(self.denoiser)
        halves = {name: weight.half().contiguous() for name, weight in weights.items()}
        config: Any = self.lora
        save: Any = StableDiffusionXLPipeline.save_lora_weights
        save(folder, unet_lora_layers=halves, unet_lora_adapter_metadata=config.to_dict())

    def usage(self, folder: Path) -> str:
        """Of the adapter, on the base that taught it."""
        if self.lora is None:
            return super().usage(folder)
        return (
            f"pipeline.load_lora_weights({str(folder)!r}), LCMScheduler, {self.sample_steps} steps"
        )
