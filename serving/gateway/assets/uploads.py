"""What is checked of a picture before it is kept."""

import io
import struct
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from serving.gateway.refusals import TooLarge, Unprocessable

FORMATS = {
    "PNG": ("image/png", "png"),
    "JPEG": ("image/jpeg", "jpg"),
    "WEBP": ("image/webp", "webp"),
}
"""What is taken: the media type and the ending of each."""
BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
BROKEN = (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError, KeyError)
"""What Pillow raises over damaged files."""


@dataclass(frozen=True)
class Inspected:
    """A picture that can be decoded; sides in pixels."""

    content: bytes
    mime: str
    extension: str
    width: int
    height: int


def inspect(content: bytes, most_pixels: int, field: str = "body") -> Inspected:
    """TooLarge from what the header says, before anything is decoded; Unprocessable if damaged."""
    try:
        with Image.open(io.BytesIO(content), formats=tuple(FORMATS)) as picture:
            if picture.width * picture.height > most_pixels:
                raise _too_large(field, most_pixels)
            if getattr(picture, "is_animated", False):
                raise Unprocessable(field, "has several frames; send one picture")
            mime, extension = FORMATS[picture.format or ""]
            width, height = picture.size
            picture.verify()
        with Image.open(io.BytesIO(content)) as picture:
            # What the checksums of `verify` cannot know: whether there are all the pixels.
            picture.load()
    except BOMB:
        raise _too_large(field, most_pixels) from None
    except UnidentifiedImageError:
        raise Unprocessable(field, "is no PNG, JPEG or WebP picture") from None
    except BROKEN as error:
        words = f"is damaged and cannot be decoded ({type(error).__name__})"
        raise Unprocessable(field, words) from None
    return Inspected(content, mime, extension, width, height)


def _too_large(field: str, most: int) -> TooLarge:
    return TooLarge(field, f"has more than {most} pixels, by its header")
