"""A diffusers folder draws in torch, with adapters as they were trained."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evals.cache import picture_hash
from evals.checkpoint import Checkpoint
from evals.painters.attached import Attached
from evals.painters.loras import Loras
from evals.painters.painter import Architecture
from evals.painters.words import Encoded, Words
from evals.sample import Image, Sample, Settings
from luciole.bundle import folder_hash
from luciole.models.folder import load_pipeline
from luciole.models.styled import styleable
from luciole.sampling import Row, Trajectory, denoise, schedule_of, steps_of
from luciole.sampling.solvers import noise_scale


class FolderPainter:
    """The same noise, loop and solvers as any engine; the predictions are torch's, in fp32."""

    engine = "torch"

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        self.name = checkpoint.name
        self._model = folder_hash(Path(checkpoint.base))
        self._parts = quiet_pipeline(checkpoint.base)
        self._asked = checkpoint.asked(settings)
        self._schedule = schedule_of(
            {key: v for key, v in self._parts.scheduler.config.items() if not key.startswith("_")}
        )
        self.architecture: Architecture | None = architecture(self._parts)
        self._size = settings.size or self.architecture.resolution
        self._words = Words(self._parts)
        self._loras = Loras(checkpoint, self._parts)
        self._attached = Attached(checkpoint, self._parts.unet)

    def recipe(self, sample: Sample) -> Mapping[str, Any]:
        """Weights by their hashes, words, noise and guides; only what this checkpoint uses."""
        guides = self._attached.guides(sample)
        return {
            "engine": self.engine,
            "model": self._model,
            "prompt": self._loras.prompt(sample),
            "seed": sample.seed,
            "size": self._size,
            "steps": self._asked.steps,
            "guidance_scale": self._asked.guidance_scale,
            "guidance_eta": self._asked.guidance_eta,
            "solver": self._asked.solver,
            "attached": self._loras.recipe(sample) | self._attached.recipe(sample),
            "guides": {kind: picture_hash(picture) for kind, picture in guides.items()},
        }

    def draw(self, samples: Sequence[Sample]) -> list[Image]:
        """Samples with the same styles and kinds of guides go through the denoiser together."""
        groups: dict[Any, list[int]] = defaultdict(list)
        for i, sample in enumerate(samples):
            mix, kinds = self._loras.mix(sample), self._attached.guides(sample)
            windows = self._words.windows(self._loras.prompt(sample))
            groups[tuple(mix.items()), tuple(kinds), windows].append(i)
        pictures: dict[int, Image] = {}
        with torch.inference_mode():
            for (mix, _, windows), places in groups.items():
                self._loras.use(dict(mix))
                found = self._draw([samples[i] for i in places], windows)
                pictures.update(zip(places, found, strict=True))
        return [pictures[i] for i in range(len(samples))]

    def close(self) -> None:
        """Nothing outside this process is held."""

    def _draw(self, samples: Sequence[Sample], windows: int) -> list[Image]:
        trajectories = [self._trajectory(sample) for sample in samples]
        said = self._words([self._loras.prompt(sample) for sample in samples], windows)
        unsaid, guided = self._unsaid(len(samples), windows), self._attached.guided(samples)

        def predict(
            latents: NDArray[np.float32], timesteps: NDArray[np.float32], rows: Sequence[Row]
        ) -> NDArray[np.float32]:
            words = [(unsaid if row.negative else said) for row in rows]
            states, pooled = (
                torch.stack([one[part][row.sample] for one, row in zip(words, rows, strict=True)])
                for part in (0, 1)
            )
            sizes = torch.tensor([[self._size, self._size, 0, 0, self._size, self._size]])
            added = {"text_embeds": pooled, "time_ids": sizes.float().expand(len(rows), -1)}
            noisy, times = torch.from_numpy(latents), torch.from_numpy(timesteps)
            return self._attached.predict(noisy, times, states, added, rows, guided).numpy()

        denoise(trajectories, predict)
        return self._decoded(np.stack([one.latents for one in trajectories]))

    def _trajectory(self, sample: Sample) -> Trajectory:
        """Begins with the noise that `luciole.pipeline` gives this seed."""
        generator = np.random.Generator(np.random.Philox(key=sample.seed))
        side = self._size // self._parts.vae_scale_factor
        shape = (self._parts.unet.config.in_channels, side, side)

        def noise() -> NDArray[np.float32]:
            return generator.standard_normal(shape, dtype=np.float32)

        solver = self._asked.solver
        steps = steps_of(solver, self._schedule, self._asked.steps)
        scale = np.float32(noise_scale(solver, self._schedule, steps))
        name = f"{sample.prompt!r}, seed {sample.seed}"
        asked = self._asked
        return Trajectory(
            noise() * scale, steps, asked.guidance_scale, noise, name, asked.guidance_eta
        )

    def _unsaid(self, count: int, windows: int) -> Encoded:
        states, pooled = self._words([""], windows)
        if self._parts.config["force_zeros_for_empty_prompt"]:
            states, pooled = torch.zeros_like(states), torch.zeros_like(pooled)
        return states.expand(count, -1, -1), pooled.expand(count, -1)

    def _decoded(self, latents: NDArray[np.float32]) -> list[Image]:
        scaled = torch.from_numpy(latents) / self._parts.vae.config.scaling_factor
        found = self._parts.vae.decode(scaled).sample
        levels = ((found / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        return list(levels.permute(0, 2, 3, 1).contiguous().numpy())


def quiet_pipeline(folder: str) -> Any:
    """The whole folder in fp32, without the libraries' own bars."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    quiet: Any = transformers_logging
    quiet.disable_progress_bar()
    diffusers_logging.disable_progress_bar()
    return load_pipeline(folder)


def architecture(parts: Any) -> Architecture:
    """As the configurations tell it."""
    unet = parts.unet
    paths = [path for path in styleable(unet) if path.endswith(".to_q")]
    layers = [(path, unet.get_submodule(path)) for path in paths]
    return Architecture(
        resolution=unet.config.sample_size * parts.vae_scale_factor,
        latent_channels=unet.config.in_channels,
        text_width=unet.config.cross_attention_dim,
        pooled_width=parts.text_encoder_2.config.projection_dim,
        layers=tuple((path, one.in_features, one.out_features) for path, one in layers),
    )
