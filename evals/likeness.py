"""Whether two pictures show the same character, and whether one is a copy of the other."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image as Pillow

from evals.characters import SEEN
from evals.pixels import as_pixels
from evals.sample import Image, Images
from evals.statistics import Scores
from luciole.models.classifier import AttributeClassifier

Chances = Mapping[str, Float[np.ndarray, "n value"]]
"""By look, how likely each value is in each picture."""
COPY = 0.9
"""Correlation from which a result counts as a copy; other pictures of a character stay below."""
_SIDE, _REACH = 32, 4


def chances(classifier: AttributeClassifier, pictures: Images, batch: int = 32) -> Chances:
    """What a classifier sees of the looks that make a character."""
    parts: list[dict[str, torch.Tensor]] = []
    with torch.inference_mode():
        for first in range(0, len(pictures), batch):
            scores = classifier(as_pixels(pictures[first : first + batch]))
            parts.append({look: scores[look].softmax(dim=1) for look in SEEN})
    return {look: torch.cat([part[look] for part in parts]).double().numpy() for look in SEEN}


def same_character(a: Chances, b: Chances) -> Float[np.ndarray, "n m"]:
    """Log-probability that two pictures agree in every look, as if looks were independent."""
    agree = [np.log(a[look] @ b[look].T + 1e-6) for look in a]
    total: Float[np.ndarray, "n m"] = np.sum(agree, axis=0)
    return total


def first_found(
    alike: Float[np.ndarray, "n m"], asked: Int[np.ndarray, " n"], known: Int[np.ndarray, " m"]
) -> Scores:
    """Whether the most alike picture of the gallery is of the right character (rank 1, CMC)."""
    found: Scores = (known[alike.argmax(axis=1)] == asked).astype(np.float64)
    return found


def average_precision(
    alike: Float[np.ndarray, "n m"], asked: Int[np.ndarray, " n"], known: Int[np.ndarray, " m"]
) -> Scores:
    """Of each ranking the mean precision at its right pictures; their mean is mAP."""
    order = np.argsort(-alike, axis=1, kind="stable")
    right = known[order] == asked[:, None]
    precisions = right.cumsum(axis=1) / np.arange(1, right.shape[1] + 1)
    found: Scores = (precisions * right).sum(axis=1) / right.sum(axis=1)
    return found


def copied(pictures: Images, references: Images) -> Scores:
    """1 where a result is the reference itself, as it is, shifted a little or mirrored."""
    pairs = zip(pictures, references, strict=True)
    return np.array([float(overlap(*pair) >= COPY) for pair in pairs])


def overlap(picture: Image, reference: Image) -> float:
    """The highest correlation of the small pictures, shifted by up to an eighth, and mirrored."""
    small, other = _small(picture), _small(reference)
    shifts = range(-_REACH, _REACH + 1)
    return max(
        _correlation(small, one, y, x)
        for one in (other, other[:, ::-1])
        for y in shifts
        for x in shifts
    )


def _small(picture: Image) -> Float[np.ndarray, "32 32 3"]:
    shrunk = Pillow.fromarray(picture).resize((_SIDE, _SIDE), Pillow.Resampling.BOX)
    return np.asarray(shrunk, np.float64)


def _correlation(a: np.ndarray, b: np.ndarray, y: int, x: int) -> float:
    """Pearson's where both overlap."""
    inner = _SIDE - 2 * _REACH
    part = a[_REACH : _REACH + inner, _REACH : _REACH + inner]
    moved = b[_REACH + y : _REACH + y + inner, _REACH + x : _REACH + x + inner]
    first, second = part - part.mean(), moved - moved.mean()
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first * second).sum() / scale) if scale > 0 else 0.0
