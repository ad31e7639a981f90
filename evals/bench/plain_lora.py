"""LoRA on SDXL's parts in a plain loop, step by step as diffusers' example trains it.

Prints seconds of CPU a sample as JSON. It is a peer to measure against, not a recipe.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig
from torch import Tensor
from torch.nn.functional import mse_loss
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from luciole import storyworld

Sample = tuple[Tensor, Tensor, Tensor]
"""Latents [n, c, h, w], states [n, t, d] and the pooled summary [n, p]."""


class Encoders:
    """The frozen parts in bf16, as the example keeps them under mixed precision."""

    def __init__(self, folder: Path) -> None:
        autoencoder: Any = AutoencoderKL
        self.autoencoder = _frozen(autoencoder.from_pretrained(folder / "vae"))
        self.texts: list[tuple[Any, Any]] = []
        for suffix, kind in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
            model: Any = kind
            tokenizer = CLIPTokenizer.from_pretrained(folder / f"tokenizer{suffix}")
            encoder = _frozen(model.from_pretrained(folder / f"text_encoder{suffix}"))
            self.texts.append((tokenizer, encoder))

    @torch.no_grad()
    def latents(self, pictures: Tensor) -> Tensor:
        """A draw of each posterior, scaled."""
        posterior = self.autoencoder.encode(pictures.bfloat16()).latent_dist
        drawn: Tensor = posterior.sample() * self.autoencoder.config.scaling_factor
        return drawn.float()

    @torch.no_grad()
    def words(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Second last states of both encoders side by side, and the second one's summary."""
        states = []
        for tokenizer, encoder in self.texts:
            ids = tokenizer(
                captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
            ).input_ids
            said = encoder(ids, output_hidden_states=True)
            states.append(said.hidden_states[-2])
        return torch.cat(states, dim=-1), said.text_embeds


def _frozen(module: Any) -> Any:
    return module.eval().requires_grad_(False).bfloat16()


def pictures(count: int, size: int) -> tuple[Tensor, list[str]]:
    """Storyworld pictures in -1..1 in memory already: reading files costs this loop nothing."""
    scenes = [storyworld.sample_scene(seed, "train") for seed in range(count)]
    drawn = np.stack([storyworld.render(scene, size, size).image for scene in scenes])
    captions = [storyworld.captions(scene, seed)[0] for seed, scene in enumerate(scenes)]
    return torch.from_numpy(drawn).permute(0, 3, 1, 2) / 127.5 - 1, captions


def batches(folder: Path, size: int, count: int, cached: bool) -> Callable[[Tensor], Sample]:
    """Encodes rows each time they are asked for or, `cached`, all of them once."""
    images, captions = pictures(count, size)
    encoders = Encoders(folder)

    def encoded(rows: Tensor) -> Sample:
        latents = encoders.latents(images[rows])
        return latents, *encoders.words([captions[row] for row in rows.tolist()])

    if not cached:
        return encoded
    kept = [encoded(torch.arange(first, first + 1)) for first in range(count)]
    latents, states, pooled = (torch.cat(parts) for parts in zip(*kept, strict=True))
    return lambda rows: (latents[rows], states[rows], pooled[rows])


def train(args: argparse.Namespace) -> float:
    """Seconds of CPU a sample over all steps but the warm-up's."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model: Any = UNet2DConditionModel
    unet = _frozen(model.from_pretrained(args.folder / "unet")).train()
    unet.add_adapter(LoraConfig(r=args.rank, lora_alpha=args.rank, target_modules=args.targets))
    weights = [p for p in unet.parameters() if p.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    optimizer = torch.optim.AdamW(weights, lr=1e-3)
    scheduler: Any = DDPMScheduler
    noises = scheduler.from_pretrained(args.folder / "scheduler")
    of_rows = batches(args.folder, args.size, args.count, args.cached)
    time_ids = torch.tensor([[args.size, args.size, 0, 0, args.size, args.size]])
    began = 0.0
    for step in range(args.warmup + args.steps):
        if step == args.warmup:
            began = time.process_time()
        latents, states, pooled = of_rows(torch.randint(args.count, (args.batch,)))
        noise = torch.randn_like(latents)
        steps = torch.randint(noises.config.num_train_timesteps, (args.batch,))
        noisy = noises.add_noise(latents, noise, steps)
        told = {"text_embeds": pooled, "time_ids": time_ids.repeat(args.batch, 1)}
        with torch.autocast("cpu", torch.bfloat16):
            said = unet(noisy, steps, states, added_cond_kwargs=told).sample
        loss: Any = mse_loss(said.float(), noises.get_velocity(latents, noise, steps))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return (time.process_time() - began) / float(args.steps * args.batch)


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--targets", required=True, help="regular expression of layer names")
    parser.add_argument("--cached", action="store_true")
    for name, value in (
        ("rank", 8),
        ("size", 128),
        ("count", 64),
        ("batch", 8),
        ("warmup", 3),
        ("steps", 20),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    print(json.dumps({"seconds": train(parser.parse_args())}))  # noqa: T201


if __name__ == "__main__":
    main()
