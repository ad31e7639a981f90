"""`python -m evals.styles out/styles/ink ink`: is a style recognised, and is the prompt still met?

A reader that knows plain pictures and every manner is fitted to real renders alone. Its accuracy
on held-out real renders stands beside the figure, as the ceiling; the judge's adherence is that of
`python -m evals`, with and without the style. Both see what the autoencoder leaves of a picture.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from evals.adherence import adherence
from evals.judge import load_judge
from evals.prompts import HeldOutPrompt, held_out_prompts
from evals.sample import Images
from evals.statistics import Share
from luciole.models.folder import load_pipeline
from luciole.shipped import shipped_model
from luciole.storyworld import Scene, render, sample_scene
from luciole.storyworld.manners import MANNERS, drawn_in

PLAIN = "plain"
NAMES = (PLAIN, *MANNERS)
_SHADES = 6
"""Levels of each channel in the histogram of colours."""


@dataclass(frozen=True)
class MannerReader:
    """Ridge regression from colours and edges to the manner."""

    weights: NDArray[np.float64]

    @classmethod
    def fitted(cls, pictures: Images, names: Sequence[str], ridge: float = 0.1) -> Self:
        """To pictures and the name of each one's manner."""
        seen = features(pictures)
        asked = np.array([[float(name == one) for one in NAMES] for name in names])
        inner = seen.T @ seen + ridge * np.eye(seen.shape[1])
        return cls(np.linalg.solve(inner, seen.T @ asked))

    def read(self, pictures: Images) -> list[str]:
        """The likeliest manner of each."""
        return [NAMES[best] for best in (features(pictures) @ self.weights).argmax(axis=1)]


def features(pictures: Images) -> NDArray[np.float64]:
    """Roots of the shares of colours and of steps in brightness along both axes, and a 1."""
    return np.stack([_features(picture) for picture in pictures])


def _features(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    level = (picture.astype(int) * _SHADES) // 256
    bins = (level * (_SHADES**2, _SHADES, 1)).sum(axis=-1).ravel()
    colours = np.bincount(bins, minlength=_SHADES**3) / bins.size
    grey = picture.astype(float).mean(axis=-1)
    steps = [
        np.histogram(np.abs(np.diff(grey, axis=axis)), [0, 1, 2, 4, 8, 16, 32, 64, 256])[0]
        for axis in (0, 1)
    ]
    edges = np.concatenate(steps) / grey.size
    return np.concatenate([np.sqrt(colours), np.sqrt(edges), [1.0]])


def renders(scenes: Sequence[Scene], size: int) -> tuple[Images, list[str]]:
    """Every scene plain and in every manner, with the manners' names."""
    pictures = [
        render(scene, size, size, maps=False).image
        if name == PLAIN
        else drawn_in(name, scene, size, size)
        for name in NAMES
        for scene in scenes
    ]
    return np.stack(pictures), [name for name in NAMES for _ in scenes]


@torch.no_grad()
def through(pipeline: Any, pictures: Images, batch: int = 16) -> Images:
    """What the model's autoencoder leaves of pictures, which is the best it could draw."""
    left = []
    for first in range(0, len(pictures), batch):
        pixels = torch.from_numpy(pictures[first : first + batch]).permute(0, 3, 1, 2)
        latents = pipeline.vae.encode(pixels.float() / 127.5 - 1).latent_dist.mean
        again = (pipeline.vae.decode(latents).sample.clamp(-1, 1) + 1) * 127.5
        left.append(again.round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(left)


def drawn(pipeline: Any, prompts: Sequence[str], steps: int, batch: int = 12) -> Images:
    """One picture a prompt; its seed is its number."""
    pictures = []
    for first in range(0, len(prompts), batch):
        some = list(prompts[first : first + batch])
        seeds = range(first, first + len(some))
        images = pipeline(
            some,
            num_inference_steps=steps,
            guidance_scale=3.5,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
        ).images
        pictures.append(np.round(images * 255).astype(np.uint8))
    return np.concatenate(pictures)


def recognised(pictures: Images, manner: str, reader: MannerReader) -> Share:
    """How many look to the reader like the manner."""
    return Share(sum(read == manner for read in reader.read(pictures)), len(pictures))


def reader_of(pipeline: Any, size: int, train: int, held_out: int) -> tuple[MannerReader, Share]:
    """Fitted to renders of `train` scenes; how often it is right on `held_out` other ones."""
    scenes = [sample_scene(seed) for seed in range(train)]
    pictures, names = renders(scenes, size)
    reader = MannerReader.fitted(through(pipeline, pictures), names)
    others = [sample_scene(10_000_000 + seed, "held_out") for seed in range(held_out)]
    pictures, names = renders(others, size)
    pairs = zip(reader.read(through(pipeline, pictures)), names, strict=True)
    return reader, Share(sum(read == name for read, name in pairs), len(names))


def evaluate(
    style: Path, manner: str, model: Path, judge: Path, count: int, steps: int
) -> dict[str, Any]:
    """The figures of one style, for its card."""
    if manner not in NAMES:
        raise ValueError(f"manner: {manner!r} is unknown; there are {', '.join(NAMES)}")
    pipeline = load_pipeline(str(model))
    pipeline.set_progress_bar_config(disable=True)
    reader, ceiling = reader_of(pipeline, pipeline.unet.config.sample_size * 8, 64, 32)
    prompts, judged = held_out_prompts(count), load_judge(judge)
    words = [prompt.text for prompt in prompts]
    base = drawn(pipeline, words, steps)
    file = style / "pytorch_lora_weights.safetensors"
    with safe_open(file, "pt") as stored:
        trigger = stored.metadata()["trigger"]
    pipeline.load_lora_weights(str(style), weight_name=file.name)
    styled = drawn(pipeline, [f"{trigger}, {text}" for text in words], steps)
    plain = drawn(pipeline, words, steps)
    return {
        "recognised": recognised(styled, manner, reader).as_json(),
        "recognised_without_the_style": recognised(base, manner, reader).as_json(),
        "plain_without_the_trigger": recognised(plain, PLAIN, reader).as_json(),
        "reader_on_real_renders": ceiling.as_json(),
        "adherence": _met(prompts, styled, judged),
        "adherence_of_the_base": _met(prompts, base, judged),
    }


def _met(prompts: list[HeldOutPrompt], pictures: Images, judge: Any) -> dict[str, Any]:
    return adherence(prompts, pictures, judge).overall.as_json()


def main() -> None:
    """Prints the figures and leaves them beside the style."""
    parser = argparse.ArgumentParser(prog="python -m evals.styles", description=__doc__)
    parser.add_argument("style", type=Path, help="a folder that training left")
    parser.add_argument("manner", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--model", type=Path, default=shipped_model())
    parser.add_argument("--judge", type=Path, default=Path("evals/weights/judge"))
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--steps", type=int, default=16)
    args = parser.parse_args()
    told = evaluate(args.style, args.manner, args.model, args.judge, args.prompts, args.steps)
    text = json.dumps(told, indent=1)
    (args.style / "figures.json").write_text(text + "\n")
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
