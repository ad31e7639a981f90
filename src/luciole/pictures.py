"""Pictures that plans name: where they come from, and as what graphs take them."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps

from luciole.domain import InvalidRequest

Picture = UInt8[np.ndarray, "height width 3"]
Pixels = Float32[np.ndarray, "3 height width"]
Grey = Float32[np.ndarray, "height width"]


class Pictures(Protocol):
    """Pictures by the SHA-256 of their bytes."""

    def open(self, sha256: str) -> Picture:
        """The decoded picture; InvalidRequest if nobody has stored it."""
        ...


class NoPictures:
    """For those who draw from words alone."""

    def open(self, sha256: str) -> Picture:
        """Refuse: there are none."""
        raise InvalidRequest("pictures", f"{sha256[:12]} is asked for, and there are none here")


class PictureFolder:
    """Files of any format in one folder, named by their SHA-256 with or without an ending."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, file: bytes) -> str:
        """Store a picture's file as it is; its name."""
        name = hashlib.sha256(file).hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(file)
        return name

    def open(self, sha256: str) -> Picture:
        """The decoded picture; InvalidRequest if it is not here or is no picture."""
        found = sorted(self._folder.glob(f"{sha256}*"))
        if not found:
            raise InvalidRequest("pictures", f"{sha256[:12]} is not here; store it first")
        try:
            return decoded(found[0].read_bytes())
        except (OSError, ValueError) as error:
            raise InvalidRequest("pictures", f"{sha256[:12]} is no picture: {error}") from error


class PicturesInMemory:
    """A few pictures, already decoded."""

    def __init__(self, pictures: Mapping[str, Picture] | None = None) -> None:
        self._pictures = dict(pictures or {})

    def add(self, picture: Picture) -> str:
        """Keep a picture under the SHA-256 of its PNG file; its name."""
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        name = hashlib.sha256(file.getvalue()).hexdigest()
        self._pictures[name] = picture
        return name

    def open(self, sha256: str) -> Picture:
        """The picture; InvalidRequest if it is not here."""
        if sha256 not in self._pictures:
            raise InvalidRequest("pictures", f"{sha256[:12]} is not here; store it first")
        return self._pictures[sha256]


def decoded(file: bytes) -> Picture:
    """RGB, turned upright as its EXIF says; transparency lies on white."""
    with Image.open(io.BytesIO(file)) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        return np.array(upright.convert("RGB"))


def fitted(picture: Picture, width: int, height: int) -> Picture:
    """In this size: scaled until it covers it, then cropped around the middle; its own is kept."""
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture)
    return np.array(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def signed(picture: Picture) -> Pixels:
    """In -1..1, channels first, as autoencoders take them."""
    return np.asarray(picture.transpose(2, 0, 1) / np.float32(127.5) - 1, np.float32)


def unsigned(picture: Picture) -> Pixels:
    """In 0..1, channels first, as control nets take them."""
    return np.asarray(picture.transpose(2, 0, 1) / np.float32(255), np.float32)


def clip_pixels(
    picture: Picture, side: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Pixels:
    """A square around the middle as CLIP's published preprocessing makes it (arXiv:2103.00020)."""
    height, width = picture.shape[:2]
    short = min(height, width)
    size = (max(side, int(side * width / short)), max(side, int(side * height / short)))
    image = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    square = np.array(image.crop((left, top, left + side, top + side)), np.float32) / 255
    normal = (square - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def white(picture: Picture) -> Grey:
    """1 where a mask is white, 0 where it is black, by the mean of its channels."""
    return np.asarray(picture.mean(axis=2) > 127, np.float32)


def feathered(mask: Grey, width: int) -> Grey:
    """1 inside the mask, falling to 0 over `width` pixels around it, and nothing beyond them."""
    soft = mask
    for axis in (0, 1):
        soft = _spread(soft, width, axis)
    return soft


def _spread(mask: Grey, width: int, axis: int) -> Grey:
    """The largest of all shifted copies, each the fainter the further it is shifted."""
    best = mask.copy()
    padded = np.pad(mask, [(width, width) if n == axis else (0, 0) for n in (0, 1)])
    for shift in range(-width, width + 1):
        part = np.take(padded, range(width + shift, width + shift + mask.shape[axis]), axis)
        np.maximum(best, part * np.float32(1 - abs(shift) / (width + 1)), out=best)
    return best


def cells(mask: Grey, stride: int) -> Grey:
    """By latent: 1 where any pixel of the cell is above 0."""
    height, width = mask.shape
    tiles = mask.reshape(height // stride, stride, width // stride, stride)
    return np.asarray(tiles.max(axis=(1, 3)) > 0, np.float32)


def coverage(mask: Grey, stride: int) -> Grey:
    """By latent: how much of the cell the mask covers."""
    height, width = mask.shape
    tiles = mask.reshape(height // stride, stride, width // stride, stride)
    return np.asarray(tiles.mean(axis=(1, 3)), np.float32)
