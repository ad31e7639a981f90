"""Styles: recognised, with the content kept, more of it where more is asked, and blended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from evals.adherence import adherence
from evals.errors import EvaluationError
from evals.judge import load_judge
from evals.manners import NAMES, PLAIN, MannerReader, features, renders, through
from evals.metric import Metric
from evals.prompts import HeldOutPrompt, held_out_prompts
from evals.sample import Image, Images, Sample
from evals.statistics import Scores
from luciole.models.folder import load_autoencoder
from luciole.storyworld import render, sample_scene
from luciole.storyworld.manners import drawn_in

_READER = "style accuracy: ArtFID's content and style, arXiv:2207.12280, read by a classifier"
_WORDS = "attribute accuracy: arXiv:2310.11513"
SCENES = 64
"""Real renders of so many scenes, in every manner, teach the reader."""


@dataclass(frozen=True)
class Style:
    """One style at growing weights, the last of them its own; the first weight is usually 0.

    `autoencoder` is the model's: the reader is fitted to what it leaves of real renders.
    """

    style: str
    """Its name, as checkpoints have it."""
    manner: str
    prompts: int
    weights: tuple[float, ...]
    judge: str
    autoencoder: str

    ceiling = True

    @property
    def unit(self) -> int:
        """The weights."""
        return len(self.weights)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """At the last weight, and along all of them."""
        if self.manner not in NAMES:
            there = ", ".join(NAMES)
            raise EvaluationError("manner", f"{self.manner!r} is unknown; there are {there}")
        name = f"style/{self.style}"
        return (
            Metric(f"{name}/recognised", "higher", _READER, 0.05, share=True),
            Metric(f"{name}/content", "higher", _WORDS, 0.02, share=True),
            Metric(f"{name}/follows_weight", "higher", "Kendall's tau: Biometrika 1938", 0.05),
            Metric(f"{name}/content_on_the_way", "higher", _WORDS, 0.02, share=True),
        )

    def samples(self, seed: int, size: int) -> list[Sample]:
        """Each prompt at every weight, from one seed."""
        return [
            Sample(
                prompt.text,
                seed + i,
                real=_real(prompt, self.manner if weight else PLAIN, size),
                styles=((self.style, weight),) if weight else (),
                promised=prompt.promised,
            )
            for i, prompt in enumerate(held_out_prompts(self.prompts))
            for weight in self.weights
        ]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """One a prompt."""
        marks = marks_of(self.autoencoder, pictures)
        mine = NAMES.index(self.manner)
        read = (marks.argmax(axis=1) == mine).reshape(-1, self.unit)
        words = kept(samples, pictures, self.judge).reshape(-1, self.unit)
        follows = [
            kendall(self.weights, row.tolist()) for row in marks[:, mine].reshape(-1, self.unit)
        ]
        found = (read[:, -1].astype(float), words[:, -1], np.array(follows), words.mean(axis=1))
        return {metric.name: scores for metric, scores in zip(self.metrics, found, strict=True)}


@dataclass(frozen=True)
class Blend:
    """Two styles at half their weight each, every style with its neighbour in the list.

    `styles` maps their names to manners.
    """

    styles: Mapping[str, str]
    prompts: int
    judge: str
    autoencoder: str

    ceiling = False
    metrics = (
        Metric("style/blend/both", "higher", _READER, 0.05, share=True),
        Metric("style/blend/content", "higher", _WORDS, 0.02, share=True),
    )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Neighbours."""
        return list(pairwise(self.styles))

    @property
    def unit(self) -> int:
        """The pairs."""
        return len(self.pairs)

    def samples(self, seed: int, size: int) -> list[Sample]:
        """Each prompt with every pair."""
        return [
            Sample(p.text, seed + i, styles=((one, 0.5), (other, 0.5)), promised=p.promised)
            for i, p in enumerate(held_out_prompts(self.prompts))
            for one, other in self.pairs
        ]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """Both: the two likeliest manners of a picture are those that were asked for."""
        best = np.argsort(-marks_of(self.autoencoder, pictures), axis=1)[:, :2]
        asked = [{NAMES.index(self.styles[name]) for name, _ in s.styles or ()} for s in samples]
        both = [set(two) == want for two, want in zip(best.tolist(), asked, strict=True)]
        words = kept(samples, pictures, self.judge)
        found = (np.array(both, float), words)
        return {
            metric.name: scores.reshape(-1, self.unit).mean(axis=1)
            for metric, scores in zip(self.metrics, found, strict=True)
        }


def kept(samples: Sequence[Sample], pictures: Images, judge: str) -> Scores:
    """The share of each prompt's words that are in its picture."""
    seen = adherence(samples, pictures, load_judge(Path(judge))).seen
    return np.array(
        [
            np.mean([one[kind] == s.promised[kind] for kind in one])
            for one, s in zip(seen, samples, strict=True)
        ]
    )


def kendall(weights: Sequence[float], marks: Sequence[float]) -> float:
    """Kendall's rank correlation (tau a) of a style's mark with its weight."""
    pairs = [(i, j) for j in range(len(weights)) for i in range(j)]
    signs = [np.sign(weights[j] - weights[i]) * np.sign(marks[j] - marks[i]) for i, j in pairs]
    return float(np.mean(signs))


def marks_of(autoencoder: str, pictures: Images) -> Float[np.ndarray, "n manner"]:
    """How much each picture is in each manner, in the order of NAMES."""
    reader = _reader(autoencoder, pictures.shape[1])
    marks: Float[np.ndarray, "n manner"] = features(pictures) @ reader.weights
    return marks


@lru_cache(maxsize=2)
def _reader(autoencoder: str, size: int) -> MannerReader:
    pictures, names = renders([sample_scene(seed) for seed in range(SCENES)], size)
    return MannerReader.fitted(_left(autoencoder, pictures), names)


def _left(autoencoder: str, pictures: Images) -> Images:
    return through(_Parts(load_autoencoder(autoencoder)), pictures)


@dataclass(frozen=True)
class _Parts:
    vae: Any


def _real(prompt: HeldOutPrompt, manner: str, size: int) -> Image:
    if manner == PLAIN:
        return render(prompt.scene, size, size, maps=False).image
    return drawn_in(manner, prompt.scene, size, size)
