"""What is looked at of the pictures that somebody gives for a character."""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image

from luciole.domain import InvalidRequest
from luciole.domain.character import Box, Facet, Reference
from serving.orchestration.characters.encoder import Embeddings, Encoder
from serving.orchestration.characters.records import Kept
from serving.orchestration.pictures import Picture, decode, name_of, png

_KINDS = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp"}
_LEAST = 16
"""Pixels on a side: less shows nobody."""
_GREY = 127


@dataclass(frozen=True)
class GivenPicture:
    """A file, the part of it that counts (None: all of it), and the facet that it shows."""

    content: bytes
    facet: Facet = Facet.IDENTITY
    box: Box | None = None


@dataclass(frozen=True)
class File:
    """What goes into the object store."""

    content: bytes
    kept: Kept


@dataclass(frozen=True)
class Looked:
    """References with their embeddings, in order, and the files that they need."""

    references: tuple[Reference, ...]
    embeddings: Embeddings
    files: tuple[File, ...]

    def without(self, facets: Collection[Facet]) -> Self:
        """Only what shows other facets; the files stay."""
        kept = [i for i, one in enumerate(self.references) if one.facet not in facets]
        chosen = tuple(self.references[i] for i in kept)
        return type(self)(chosen, self.embeddings[kept], self.files)

    def and_also(self, other: "Looked") -> Self:
        """Both, the other's last."""
        embeddings = np.concatenate([self.embeddings, other.embeddings])
        return type(self)(self.references + other.references, embeddings, self.files + other.files)


def look(pictures: Sequence[GivenPicture], encoder: Encoder) -> Looked:
    """Cut, embed and name what was given; InvalidRequest names the picture that is no good."""
    if not pictures:
        raise InvalidRequest("pictures", "give at least one")
    references, crops, files = [], [], []
    for number, given in enumerate(pictures):
        field = f"pictures.{number}"
        whole = decode(field, given.content)
        box = given.box or Box(left=0, top=0, right=whole.shape[1], bottom=whole.shape[0])
        crop = _cropped(field, whole, box)
        file = _file(given.content, whole)
        part = file if crop.shape == whole.shape else _file(png(crop), crop)
        references.append(
            Reference(picture=file.kept.sha256, crop=part.kept.sha256, box=box, facet=given.facet)
        )
        crops.append(crop)
        files += [file, part]
    return Looked(tuple(references), embed(crops, encoder), tuple(files))


def cut(field: str, given: GivenPicture) -> bytes:
    """The part of a picture that counts as a file; the picture itself where all of it counts."""
    whole = decode(field, given.content)
    if given.box is None:
        return given.content
    crop = _cropped(field, whole, given.box)
    return given.content if crop.shape == whole.shape else png(crop)


def embed(crops: Sequence[Picture], encoder: Encoder) -> Embeddings:
    """One direction of length 1 a crop, whatever the crops' sizes."""
    directions = encoder.embed(np.stack([squared(crop, encoder.size) for crop in crops]))
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not np.isfinite(directions).all() or not (lengths > 0).all():
        raise InvalidRequest("pictures", "the image encoder sees nothing in one of them")
    units: Embeddings = (directions / lengths).astype(np.float32)
    return units


def squared(crop: Picture, size: int) -> Picture:
    """Fit a crop into a grey square of `size` pixels, its proportions kept."""
    height, width = crop.shape[:2]
    scale = size / max(height, width)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.new("RGB", (size, size), (_GREY, _GREY, _GREY))
    small = Image.fromarray(crop).resize(fitted, Image.Resampling.LANCZOS)
    image.paste(small, ((size - fitted[0]) // 2, (size - fitted[1]) // 2))
    return np.array(image)


def _cropped(field: str, whole: Picture, box: Box) -> Picture:
    height, width = whole.shape[:2]
    if box.right > width or box.bottom > height:
        raise InvalidRequest(f"{field}.box", f"reaches beyond the picture of {width} x {height}")
    crop = np.ascontiguousarray(whole[box.top : box.bottom, box.left : box.right])
    if min(crop.shape[:2]) < _LEAST:
        raise InvalidRequest(f"{field}.box", f"shows too little: at least {_LEAST} pixels a side")
    return crop


def _file(content: bytes, picture: Picture) -> File:
    with Image.open(io.BytesIO(content)) as opened:
        kind = _KINDS.get(opened.format or "")
    if kind is None:
        content, kind = png(picture), "png"
    height, width = picture.shape[:2]
    kept = Kept(name_of(content), len(content), f"image/{kind}", kind, width, height)
    return File(content, kept)
