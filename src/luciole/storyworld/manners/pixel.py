"""Pixel art: square dots of thirty-two colours, people with a dark rim."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luciole.storyworld.manners.surface import people
from luciole.storyworld.render import Picture

DOTS = 32
"""Along the shorter side."""
RIM = (26, 20, 44)
PALETTE = np.array(
    [
        (18, 16, 34), (40, 38, 74), (58, 68, 120), (64, 104, 176), (80, 152, 226), (150, 210, 248),
        (232, 244, 250), (255, 255, 255), (192, 200, 214), (136, 144, 164), (90, 96, 116),
        (54, 58, 76), (30, 62, 60), (38, 100, 72), (64, 148, 76), (132, 196, 92), (204, 226, 130),
        (250, 220, 90), (246, 170, 58), (230, 112, 48), (214, 52, 60), (140, 34, 62),
        (242, 130, 168), (250, 190, 200), (160, 84, 188), (98, 52, 140), (254, 222, 188),
        (236, 180, 136), (190, 122, 84), (130, 78, 58), (82, 48, 46), (52, 200, 190),
    ],
    np.float32,
)  # fmt: skip


def pixel(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each dot takes the colour in the middle of what it covers; chance has no part in it."""
    height, width = picture.image.shape[:2]
    side = max(1, round(min(height, width) / DOTS))
    rows, columns = -(-height // side), -(-width // side)
    small = Image.fromarray(picture.image).resize((columns, rows), Image.Resampling.BOX)
    body = (
        Image.fromarray(people(picture)).convert("L").resize((columns, rows), Image.Resampling.BOX)
    )
    dots = _nearest(np.asarray(small, np.float32))
    inside = np.asarray(body) > 110
    dots[_rim(inside)] = RIM
    large = dots.repeat(side, axis=0).repeat(side, axis=1)
    return np.ascontiguousarray(large[:height, :width])


def _nearest(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The colour of the palette that is closest, after a little contrast."""
    strong = (image - 128) * 1.12 + 128
    apart = ((strong[:, :, None] - PALETTE) ** 2 * (0.3, 0.5, 0.2)).sum(axis=-1)
    found: NDArray[np.uint8] = PALETTE[apart.argmin(axis=-1)].astype(np.uint8)
    return found


def _rim(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The dots just outside of people."""
    wide = np.pad(inside, 1)
    near = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return near & ~inside
