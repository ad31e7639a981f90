"""A style: LoRA beside the denoiser's layers and, where asked, the text encoders'."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from luciole.adapters.lora import Lora, overlap
from luciole.adapters.lora_file import LoraCard, read_lora, weights_hash, write_kohya, write_peft
from luciole.data.stream import Batch
from luciole.models.text import TextConditions
from training.card import command
from training.diffusion import DiffusionTask
from training.samples import grid
from training.task import frozen


class StyleTask(DiffusionTask):
    """Learns a style's low-rank layers; everything else is frozen.

    `others` are files of styles that are there already: with `orthogonality` above 0, what this one
    shares with them costs that much, so that they can be blended.
    """

    def __init__(
        self,
        denoiser: Any,
        conditions: TextConditions,
        lora: Callable[[Mapping[str, Any]], Lora],
        card: Callable[..., LoraCard],
        others: Sequence[str],
        orthogonality: float,
        **training: Any,
    ) -> None:
        base_hash = weights_hash(denoiser)
        super().__init__(frozen(denoiser), conditions, **training)
        parts = {
            "unet": denoiser,
            "text_encoder": conditions.text_encoder,
            "text_encoder_2": conditions.text_encoder_2,
        }
        self.others = [read_lora(Path(file), parts, base_hash) for file in others]
        self.orthogonality = orthogonality
        made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.card = card(base_hash=base_hash, date=made, command=command())
        self.lora = lora(parts)
        self.learns_words = any(self.lora.adapts(key) for key in parts if key != "unet")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean over the batch, and the price of what other styles use already."""
        loss = super().training_step(batch, batch_idx)
        if not self.others or self.orthogonality == 0:
            return loss
        shared = overlap(self.lora, self.others)
        self.log("train/overlap", shared)
        return loss + self.orthogonality * shared

    def words(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """With gradients where the text encoders learn."""
        if not self.learns_words:
            return super().words(batch)
        states, pooled = self.conditions(batch["captions"])
        return states, pooled

    def samples(self, batch: Batch) -> Float[Tensor, "n 3 h w"]:
        """The configured prompts in the style, then the same ones plain, from the same noise."""
        size = 8 * batch["latents"].shape[-1]
        return torch.cat([self.drawn(styled, size) for styled in (True, False)])

    @torch.no_grad()
    def drawn(self, styled: bool, size: int) -> Float[Tensor, "n 3 h w"]:
        """The configured prompts, with or without the trigger word, at `size` pixels a side."""
        called = [f"{self.card.trigger}, {prompt}" for prompt in self.prompts]
        seeds = range(self.seed, self.seed + len(called))
        pictures: Tensor = self.pipeline()(
            called if styled else self.prompts,
            width=size,
            height=size,
            num_inference_steps=self.sample_steps,
            guidance_scale=self.sample_guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="pt",
        ).images
        return pictures * 2 - 1

    def write(self, folder: Path) -> None:
        """`pytorch_lora_weights.safetensors` for diffusers; `<name>.safetensors` of kohya's kind
        for other tools, with its preview `<name>.png` beside it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        layers = self.lora.layers()
        write_peft(folder / "pytorch_lora_weights.safetensors", layers, self.card)
        kohya = folder / f"{self.card.name}.safetensors"
        write_kohya(kohya, layers, self.card, self.denoiser.config.layers_per_block)
        pictures = self.drawn(True, self.card.resolution)
        grid(pictures, rows=1 + (len(pictures) > 3)).save(kohya.with_suffix(".png"))

    def usage(self, folder: Path) -> str:
        """With diffusers' pipeline of the base."""
        return f'pipeline.load_lora_weights("{folder}")  # then: "{self.card.trigger}, a girl"'
