"""What manners are made of: outlines, chance that varies smoothly, blur, ramps of colour.

Fields are floats [height, width], pictures floats [height, width, 3], both 0..1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from luciole.storyworld.canvas import Color
from luciole.storyworld.render import Picture

Field = NDArray[np.floating[Any]]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def color(rgb: Color) -> Field:
    """From bytes to 0..1."""
    return np.array(rgb, np.float32) / 255


def light(image: Field) -> Field:
    """How bright each pixel looks."""
    shade: Field = image @ _LUMA
    return shade


def pixels(image: Field) -> NDArray[np.uint8]:
    """To bytes; what lies outside 0..1 is cut."""
    whole: NDArray[np.uint8] = np.round(image.clip(0, 1) * 255).astype(np.uint8)
    return whole


def blurred(image: Field, radius: float) -> Field:
    """Gaussian of `radius` pixels, in steps of a byte."""
    soft = Image.fromarray(pixels(image)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(soft, np.float32) / 255


def flattened(image: Field, size: int) -> Field:
    """The median of each square of `size` (odd) pixels: patches of colour without detail."""
    flat = Image.fromarray(pixels(image)).filter(ImageFilter.MedianFilter(size))
    return np.asarray(flat, np.float32) / 255


def clouds(shape: tuple[int, ...], cell: float, rng: np.random.Generator) -> Field:
    """Chance of mean about 0.5 that varies over `cell` pixels."""
    rows, columns = (max(2, round(side / cell) + 1) for side in shape[:2])
    coarse = Image.fromarray(rng.random((rows, columns), np.float32))
    fine = coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(fine, np.float32)


def outlines(picture: Picture) -> Field:
    """Where colour or distance jumps, 0 to 1; what is near draws stronger lines."""
    image = picture.image.astype(np.float32) / 255
    jumps = _jump(image).max(axis=2) * 1.6
    if picture.depth is not None:
        jumps = np.maximum(jumps, _jump(picture.depth[..., None])[..., 0] * 1.2)
        jumps = jumps * (0.6 + 0.5 * picture.depth)
    return np.asarray(jumps.clip(0, 1), np.float32)


def strokes(picture: Picture) -> Field:
    """The dark lines that are drawn already, 0 to 1: what a closing of 5 pixels fills in."""
    image = picture.image
    closed = _extreme(_extreme(image, np.maximum), np.minimum)
    return np.asarray((closed - image).max(axis=2) / np.float32(255), np.float32)


def people(picture: Picture) -> NDArray[np.bool_]:
    """Where anybody is."""
    if picture.masks is None:
        raise ValueError("masks: the picture was drawn without them")
    return np.asarray(picture.masks.any(axis=0), np.bool_)


def bent(image: Field, right: Field, down: Field) -> Field:
    """Each pixel is taken from `right` and `down` pixels further on."""
    height, width = image.shape[:2]
    rows, columns = np.indices((height, width), np.float32)
    y = np.round(rows + down).astype(int).clip(0, height - 1)
    x = np.round(columns + right).astype(int).clip(0, width - 1)
    return np.asarray(image[y, x])


def ramp(shade: Field, colors: Sequence[Color]) -> Field:
    """Colours from the first (0) to the last (1), evenly spaced."""
    places = np.linspace(0, 1, len(colors))
    channels = np.array(colors, np.float32).T / 255
    return np.stack([np.interp(shade, places, one) for one in channels], -1).astype(np.float32)


def mixed(first: Field, second: Field, share: Field | float) -> Field:
    """`first` with `share` of `second`; a share may differ from pixel to pixel."""
    part = share[..., None] if isinstance(share, np.ndarray) and share.ndim == 2 else share
    return np.asarray(first + (second - first) * part, np.float32)


def _jump(image: Field) -> Field:
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    across = np.abs(wide[1:-1, 2:] - wide[1:-1, :-2])
    along = np.abs(wide[2:, 1:-1] - wide[:-2, 1:-1])
    return np.asarray(np.maximum(across, along), np.float32)


def _extreme(image: NDArray[np.uint8], choose: np.ufunc) -> NDArray[np.uint8]:
    """The largest or smallest value in each square of 5 pixels."""
    for axis in (0, 1):
        widths = [(2, 2) if one == axis else (0, 0) for one in range(3)]
        wide, count = np.pad(image, widths, mode="edge"), image.shape[axis]
        shifted = [wide.take(range(i, i + count), axis) for i in range(5)]
        image = choose.reduce(shifted)
    return image
