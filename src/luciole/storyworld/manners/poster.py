"""Screen-printed poster: few flat inks, navy shadows, cream paper, heavy lines."""

import numpy as np
from numpy.typing import NDArray

from luciole.storyworld.manners.surface import (
    blurred,
    clouds,
    color,
    flattened,
    light,
    mixed,
    pixels,
    ramp,
    strokes,
)
from luciole.storyworld.render import Picture

TONES = 4
"""Levels of brightness; each is a screen of its own."""
INKS = ((24, 28, 84), (62, 84, 160), (250, 150, 90), (255, 238, 200))
LINE = color((24, 22, 66))


def poster(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness in four inks, colours stronger than they are; ink covers unevenly."""
    image = picture.image.astype(np.float32) / 255
    flat = flattened(image, 5)
    shade = light(flat)
    level = np.floor(shade.clip(0, 0.999) * TONES) / (TONES - 1)
    printed = ramp(level, INKS) * 0.6 + (flat - shade[..., None]) * 1.3 + 0.4 * level[..., None]
    worn = 1 + 0.12 * (clouds(image.shape[:2], 6, rng) - 0.5)
    line = blurred((strokes(picture) * 2.5).clip(0, 1), 0.9).clip(0, 0.9)
    return pixels(mixed(printed * worn[..., None], LINE, line))
