"""Pictures by the hash of their bytes, as plans name them."""

import hashlib
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from luciole.domain import InvalidRequest

Picture = UInt8[np.ndarray, "height width 3"]
MOST_PIXELS = 64_000_000


class PictureShelf:
    """Holds the files that one storyboard needs, in memory."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        """Keep a file; its name."""
        name = name_of(content)
        self._files[name] = content
        return name

    def open(self, name: str) -> Picture:
        """The pixels of a file; InvalidRequest if it was never put here."""
        return decode(name[:12], self.bytes_of(name))

    def bytes_of(self, name: str) -> bytes:
        """A file as it was put here."""
        if name not in self._files:
            raise InvalidRequest("picture", f"there is none named {name[:12]}...")
        return self._files[name]


def decode(field: str, content: bytes) -> Picture:
    """Pixels of an image file; InvalidRequest names the field if it is none or too large.

    The size is read from the header before anything is unpacked.
    """
    try:
        with Image.open(io.BytesIO(content)) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                size = f"{opened.width} x {opened.height}"
                raise InvalidRequest(field, f"{size} pixels are more than {MOST_PIXELS:,}")
            return np.array(opened.convert("RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InvalidRequest(field, "is no readable picture; use PNG, JPEG or WebP") from error


def png(picture: Picture) -> bytes:
    """The same bytes for the same picture."""
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "PNG", compress_level=1)
    return target.getvalue()


def name_of(content: bytes) -> str:
    """How plans call a picture: the SHA-256 of its bytes."""
    return hashlib.sha256(content).hexdigest()
