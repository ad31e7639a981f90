"""Renders on disk, named by everything that they depend on."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from evals.errors import EvaluationError
from evals.sample import Image

_MARK = "luciole:pixels"


def key_of(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of the recipe: the same picture has the same name."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def picture_hash(picture: Image) -> str:
    """SHA-256 of size and pixels."""
    return hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).hexdigest()


@dataclass(frozen=True)
class RenderCache:
    """PNG files with the hash of their own pixels inside; safe to stop at any time."""

    folder: Path

    def file(self, key: str) -> Path:
        """Where a picture of this name lies."""
        return self.folder / key[:2] / f"{key}.png"

    def get(self, key: str) -> Image | None:
        """The picture, None where it was not drawn yet; EvaluationError names a damaged file."""
        file = self.file(key)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            with Pillow.open(BytesIO(data)) as opened:
                picture: Image = np.array(opened.convert("RGB"))
                told = opened.info.get(_MARK)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise _damaged(file, str(error)) from error
        if told != picture_hash(picture):
            raise _damaged(file, "its pixels are not those that were drawn")
        return picture

    def keep(self, key: str, picture: Image) -> None:
        """Written beside its place and moved there whole."""
        file = self.file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        told = PngInfo()
        told.add_text(_MARK, picture_hash(picture))
        part = file.with_suffix(f".{os.getpid()}.tmp")
        Pillow.fromarray(picture).save(part, "PNG", pnginfo=told)
        part.replace(file)


def _damaged(file: Path, why: str) -> EvaluationError:
    return EvaluationError(str(file), f"is damaged ({why}); delete it to have it drawn again")
