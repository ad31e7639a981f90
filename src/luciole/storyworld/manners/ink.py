"""Brush and ink on rice paper: black strokes, a few grey washes, a breath of colour."""

import numpy as np
from numpy.typing import NDArray

from luciole.storyworld.manners.surface import (
    blurred,
    clouds,
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

PAPER, INK = color((250, 247, 238)), color((22, 22, 30))


def ink(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The place stays pale behind the people; strokes swell and thin like a brush's."""
    image = picture.image.astype(np.float32) / 255
    anybody = people(picture)
    shade = light(flattened(image, 5))
    dark = ((0.86 - shade) * 1.25).clip(0, 1)
    wash = blurred(np.floor(dark * 4.999) / 4, 0.8)
    wash = wash * np.where(anybody, 0.8, 0.34) * (0.7 + 0.6 * clouds(shade.shape, 24, rng))
    tinted = mixed(PAPER, PAPER * image, np.where(anybody, 0.3, 0.08).astype(np.float32))
    painted = mixed(tinted, INK, wash.clip(0, 0.9))
    line = 2.4 * strokes(picture) + 0.7 * (outlines(picture) - 0.3) * ~anybody
    line = blurred(line.clip(0, 1), 0.6) * (0.9 + 0.7 * clouds(shade.shape, 12, rng))
    return pixels(mixed(painted, INK, line.clip(0, 0.96)))
