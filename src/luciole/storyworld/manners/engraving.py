"""Copperplate engraving: swelling lines and bold contours in brown ink on warm paper."""

import numpy as np
from numpy.typing import NDArray

from luciole.storyworld.manners.surface import (
    Field,
    blurred,
    color,
    flattened,
    light,
    mixed,
    outlines,
    people,
    pixels,
    strokes,
)
from luciole.storyworld.render import Picture

PAPER, INK = color((246, 230, 194)), color((62, 36, 24))
PERIOD = 8.0
"""Pixels from line to line."""


def engraving(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Level lines over a plate tone, thick where the place is dark; people have bold contours."""
    image = picture.image.astype(np.float32) / 255
    anybody = people(picture)
    shade = blurred(light(flattened(image, 5)), 0.8)
    dark = ((0.95 - shade) * 1.1).clip(0, 1)
    place = 0.3 * dark + 0.6 * _lines(1 - dark)
    body = 0.85 * dark**1.2
    inked = np.where(anybody, body, place)
    line = np.maximum(3 * strokes(picture), (outlines(picture) - 0.3) * 1.2 * ~anybody)
    inked = np.maximum(inked, blurred(line.clip(0, 1), 0.4)).astype(np.float32)
    return pixels(mixed(PAPER, INK, inked * 0.95))


def _lines(shade: Field) -> Field:
    """Level lines, as thick as the place is dark, in the same rows in every picture."""
    rows = np.arange(shade.shape[0], dtype=np.float32)[:, None]
    wave = 0.5 + 0.5 * np.cos((rows - 3.5) * (2 * np.pi / PERIOD))
    inked: Field = ((wave - shade) * 2.5).clip(0, 1).astype(np.float32)
    return inked
