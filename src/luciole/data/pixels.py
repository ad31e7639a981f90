"""Bytes of a picture file to RGB pixels, every unusual kind either converted right or refused."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

PLAIN = ("1", "L", "RGB", "YCbCr", "P", "PA", "LA", "La", "RGBA", "RGBa")
"""Pillow's modes that have eight bits or fewer a channel and an agreed meaning."""
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
"""What Pillow raises on damaged files."""


class Unreadable(ValueError):
    """A picture that cannot be used; the message says why, the caller knows which."""


def rgb(data: bytes) -> Image.Image:
    """The first frame, upright as its EXIF says, in eight bits of sRGB.

    See-through pixels lie over white. Sixteen bits of grey are scaled to eight. CMYK goes through
    its embedded profile where there is one. Raises Unreadable for empty, damaged and foreign
    files and for pixels of 32 bits or of floats, whose range is nobody's agreement.
    """
    if not data:
        raise Unreadable("the file is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise Unreadable("not a picture of a known format") from None
    except Image.DecompressionBombError as error:
        raise Unreadable(f"too large: {error}") from None
    except _BROKEN as error:
        raise Unreadable(f"damaged: {error}") from None
    return _in_rgb(upright)


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode not in PLAIN:
        raise Unreadable(f"pixels of Pillow's mode {image.mode}; save it as 8-bit RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    over = image.convert("RGBA")
    white = Image.new("RGBA", over.size, "white")
    return Image.alpha_composite(white, over).convert("RGB")


def _eight_bits(image: Image.Image) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """65535 becomes 255, and everything between in proportion."""
    return np.round(np.asarray(image).astype(np.float32) / 257).astype(np.uint8)


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise Unreadable(f"its colour profile is damaged: {error}") from None
    if converted is None:
        raise Unreadable("its colour profile gives no picture")
    return converted
