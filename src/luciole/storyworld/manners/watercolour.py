"""Watercolour: thin bright washes with dark rims on white, rough paper."""

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
)
from luciole.storyworld.render import Picture

PAPER = color((253, 250, 243))


def watercolour(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Colours run a little over their outlines, pool at their rims and fade before the margin."""
    image = picture.image.astype(np.float32) / 255
    shape = image.shape[:2]
    right, down = ((clouds(shape, 13, rng) - 0.5) * 3.4 for _ in range(2))
    flat = flattened(bent(image, right, down), 3)
    grey = light(flat)[..., None]
    vivid = (grey + (flat - grey) * 1.25).clip(0, 1) ** 0.8
    rim = np.abs(blurred(vivid, 2.2) - vivid).max(axis=2)
    pigment = 0.5 + 0.38 * clouds(shape, 18, rng) + 0.9 * rim
    pigment = pigment + 0.1 * (clouds(shape, 2, rng) - 0.5)
    painted = mixed(PAPER, PAPER * vivid, (pigment * _sheet(shape, rng)).clip(0, 1))
    return pixels(painted)


def _sheet(shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """1 inside, 0 on the ragged margin that stays white."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in shape)
    inside = np.minimum(rows[:, None], columns[None, :]) / (0.045 * shape[0])
    ragged: Field = inside.astype(np.float32) - 1.1 * clouds(shape, 14, rng) + 0.3
    return ragged.clip(0, 1)
