"""Neon night: the world in deep violet, its outlines glowing tubes."""

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
    ramp,
    strokes,
)
from luciole.storyworld.render import Picture

NIGHT = [(14, 10, 46), (36, 20, 88), (70, 32, 124), (122, 52, 160)]
CYAN, MAGENTA = color((70, 236, 255)), color((255, 70, 196))


def neon(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """People shine in their own colours; the place glows cyan above and magenta below."""
    image = picture.image.astype(np.float32) / 255
    height, width = image.shape[:2]
    anybody = people(picture).astype(np.float32)
    base = ramp(light(flattened(image, 5)) * 0.85, NIGHT)
    base = mixed(base, _vivid(image) * (0.62, 0.55, 0.72), blurred(anybody, 0.5) * 0.8)
    place = ((outlines(picture) - 0.2) * 1.3 * (1 - anybody)).clip(0, 1)
    tube = blurred(np.maximum(place * 0.8, 2 * strokes(picture) * anybody).clip(0, 1), 0.6)
    down = np.linspace(-0.1, 1.1, height, dtype=np.float32).clip(0, 1)[:, None].repeat(width, 1)
    hue = mixed(mixed(CYAN, MAGENTA, down), blurred(_vivid(image), 2.5), 0.35 * anybody)
    lit = hue * (tube * 1.3).clip(0, 1)[..., None]
    glow = (blurred(lit, 1.4) + blurred(lit, 5.0) * 1.1).clip(0, 1)
    return pixels(1 - (1 - base) * (1 - lit * 0.9) * (1 - glow))


def _vivid(image: Field) -> Field:
    """The same hues at full strength."""
    grey = light(image)[..., None]
    strong: Field = (grey + (image - grey) * 1.7).clip(0, 1)
    return strong
