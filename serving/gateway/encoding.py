"""Pixels to file bytes, with the words that drew them inside, signed last."""

import io
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luciole.bundle import Manifest
from luciole.domain import RenderPlan
from serving.gateway.credentials import authority
from serving.gateway.credentials.signing import COMPOSED, DRAWN, Credentials
from serving.gateway.infotext import infotext
from serving.gateway.png import png
from serving.settings import Settings

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
DEFAULT_COMPRESSION = 90


class PictureFormat(StrEnum):
    """The file formats on offer; also the last part of their media types."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"

    @property
    def mime(self) -> str:
        """The media type."""
        return f"image/{self.value}"

    @property
    def extension(self) -> str:
        """How files of it end."""
        return "jpg" if self is PictureFormat.JPEG else self.value


class Encoder:
    """Makes the files of one model's pictures; calls belong into threads."""

    def __init__(self, manifest: Manifest, credentials: Credentials | None) -> None:
        self._manifest, self.credentials = manifest, credentials

    def file(
        self,
        pixels: NDArray[np.uint8],
        plan: RenderPlan,
        form: PictureFormat = PictureFormat.PNG,
        compression: int = DEFAULT_COMPRESSION,
    ) -> bytes:
        """Height x width x RGB as a file; `compression` is JPEG's and WebP's quality, 0 to 100."""
        content = encode(pixels, form, compression, infotext(plan, self._manifest))
        if self.credentials is None:
            return content
        kind = DRAWN if plan.mask is None else COMPOSED
        return self.credentials.signed(content, form.mime, kind)


def encoder(manifest: Manifest, settings: Settings) -> Encoder:
    """With the identity of the settings, or with that of a test authority."""
    if not settings.credentials:
        return Encoder(manifest, None)
    if settings.c2pa_chain is not None and settings.c2pa_key is not None:
        identity = authority.given(settings.c2pa_chain, settings.c2pa_key)
    else:
        identity = authority.made(settings.state_folder / "credentials")
    return Encoder(manifest, Credentials(identity))


def encode(
    pixels: NDArray[np.uint8], form: PictureFormat, compression: int, parameters: str
) -> bytes:
    """Write height x width x RGB; `compression` is JPEG's and WebP's quality, 0 to 100."""
    if form is PictureFormat.PNG:
        return png(pixels, {"parameters": parameters})
    image, target = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    comment = b"UNICODE\0" + parameters.encode("utf-16-be")
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = comment
    image.save(target, form.upper(), quality=compression, exif=exif)
    return target.getvalue()
