"""Pose and depth: a control net beside a frozen denoiser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLControlNetPipeline
from jaxtyping import Float
from torch import Tensor

from luciole.adapters.control import Controlled
from luciole.data.stream import Batch
from luciole.diffusion.draws import Draws
from luciole.diffusion.losses import Predict
from luciole.models.estimator import ConditionEstimator
from training.diffusion import DiffusionTask, telling
from training.estimator import fidelity
from training.task import frozen


class ControlTask(DiffusionTask):
    """Learns to follow conditions; the denoiser, its words and the autoencoder are frozen."""

    def __init__(
        self,
        denoiser: Any,
        control: Callable[[Any], Any],
        estimator: ConditionEstimator | None,
        measured: int,
        **training: Any,
    ) -> None:
        super().__init__(frozen(denoiser), prompts=[], **training)
        self.control = control(self.denoiser).train()
        self.estimator, self.measured = estimator and frozen(estimator), measured

    def predict(self, batch: Batch, draws: Draws) -> Predict:
        """The denoiser with the control net's word in its skips."""
        guided = Controlled(self.denoiser, self.control, batch["conditions"])
        return telling(guided, *self.words(batch), batch["time_ids"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The loss; once, what the estimator reads from results against what they were told.

        `val/pck` is the share of joints within a tenth of the person, `val/depth` the correlation
        of depth maps; `_real` is what the estimator reaches on the pictures themselves.
        """
        super().validation_step(batch, batch_idx)
        if self.estimator is None or batch_idx:
            return
        count = min(self.measured, len(batch["latents"]))
        for suffix, pictures in ("", self.drawn(batch, count)), ("_real", self.real(batch, count)):
            for name, value in fidelity(self.estimator, pictures, batch).items():
                self.log(f"val/{name}{suffix}", value, prog_bar=not suffix, batch_size=count)

    @torch.no_grad()
    def samples(self, batch: Batch) -> Float[Tensor, "n 3 h w"]:
        """A row of conditions, a row of results, a row of the pictures they were taken from."""
        count = min(8, len(batch["latents"]))
        conditions = batch["conditions"][:count] * 2 - 1
        return torch.cat([conditions, self.drawn(batch, count), self.real(batch, count)])

    @torch.no_grad()
    def drawn(self, batch: Batch, count: int) -> Float[Tensor, "n 3 h w"]:
        """The first held-out conditions with their captions, from the same seed every time."""
        size = 8 * batch["latents"].shape[-1]
        pictures: Tensor = self.pipeline()(
            list(batch["captions"][:count]),
            image=batch["conditions"][:count],
            width=size,
            height=size,
            num_inference_steps=self.sample_steps,
            guidance_scale=self.sample_guidance,
            generator=torch.Generator().manual_seed(self.seed),
            output_type="pt",
        ).images
        return pictures * 2 - 1

    @torch.no_grad()
    def real(self, batch: Batch, count: int) -> Float[Tensor, "n 3 h w"]:
        """The first held-out pictures, as the autoencoder brings them back."""
        latents = batch["latents"][:count] / self.autoencoder.config.scaling_factor
        pictures: Tensor = self.autoencoder.decode(latents).sample
        return pictures.clamp(-1, 1)

    def pipeline(self) -> Any:
        """The parts as diffusers' pipeline with a control net, quiet."""
        build: Any = StableDiffusionXLControlNetPipeline
        parts = build(
            **super().pipeline().components,
            controlnet=self.control,
            force_zeros_for_empty_prompt=False,
            add_watermarker=False,
        )
        parts.set_progress_bar_config(disable=True)
        return parts

    def write(self, folder: Path) -> None:
        """A diffusers folder, fp32."""
        self.control.save_pretrained(folder)

    def usage(self, folder: Path) -> str:
        """With diffusers' pipeline of the base."""
        return (
            "StableDiffusionXLControlNetPipeline.from_pretrained(base, "
            f'controlnet=ControlNetModel.from_pretrained("{folder}"))'
        )
