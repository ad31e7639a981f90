"""Soft pastel: chalk in light, warm colours, rubbed on tinted paper."""

import numpy as np
from numpy.typing import NDArray

from luciole.storyworld.manners.surface import (
    Field,
    bent,
    blurred,
    clouds,
    color,
    flattened,
    light,
    mixed,
    pixels,
    strokes,
)
from luciole.storyworld.render import Picture

PAPER, LINE = color((255, 240, 228)), color((168, 120, 150))
SHADOW, GLOW = color((186, 170, 226)), color((255, 246, 222))


def pastel(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shadows turn lilac, lights cream; the paper shows between slanted strokes."""
    image = picture.image.astype(np.float32) / 255
    shape = image.shape[:2]
    soft = blurred(flattened(image, 5), 1.0)
    shade = light(soft)
    bright = shade[..., None] ** 0.5
    hue = (soft - shade[..., None]) * 0.75
    chalk = mixed(SHADOW, GLOW, bright[..., 0]) + hue
    streaks = bent(clouds(shape, 3, rng), *_slanted(shape))
    covered = 0.97 - 0.75 * (streaks - 0.42).clip(0, 1)
    painted = mixed(PAPER, chalk, covered)
    line = (blurred((strokes(picture) * 2).clip(0, 1), 0.8) * (0.55 + 0.5 * streaks)).clip(0, 0.7)
    return pixels(mixed(painted, LINE, line))


def _slanted(shape: tuple[int, ...]) -> tuple[Field, Field]:
    """Along a diagonal, to the start of its stroke: chance there holds for the whole stroke."""
    rows, columns = np.indices(shape, np.float32)
    along = (rows - columns) % 13
    return along / 2, -along / 2
