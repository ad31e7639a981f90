"""Which manner a picture is drawn in, read from its colours and edges.

A reader that knows plain pictures and every manner is fitted to real renders alone. Its accuracy
on held-out real renders stands beside the figures, as the ceiling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from evals.sample import Images
from luciole.storyworld import Scene, render
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
