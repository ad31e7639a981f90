"""Edits: a picture, a mask, and words for what shall be there."""

import asyncio
import io
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request
from PIL import Image
from pydantic import Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from luciole.domain import InvalidRequest
from luciole.domain.guides import Guides, Mask, Start
from serving.gateway.assets.uploads import Inspected, inspect
from serving.gateway.errors import fault
from serving.gateway.images.form import ImagesRequest
from serving.gateway.parts import Parts

WHOLE, MASKED = 0.6, 1.0
"""How much is changed where nobody says: of a whole picture, and inside a mask."""
FILES = {"image", "image[]", "mask"}


class EditsRequest(ImagesRequest):
    """The same fields as a form, beside `image` and `mask`; `strength` is ours."""

    strength: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None


@dataclass(frozen=True)
class Edit:
    """An edit that was read; the mask has the size of the picture, white where it is redrawn."""

    asked: EditsRequest
    picture: Inspected
    mask: Inspected | None


async def read_edit(request: Request, parts: Parts) -> Edit:
    """Read the form; InvalidRequest, TooLarge and Unprocessable name the field."""
    most = parts.settings.upload_pixels
    async with request.form(max_files=3, max_fields=40, max_part_size=65_536) as form:
        asked = _fields(form)
        image, mask = await _file(form, "image", "image[]"), await _file(form, "mask")
    if image is None:
        raise InvalidRequest("image", "is missing; send one picture as multipart/form-data")
    picture = await asyncio.to_thread(inspect, image, most, "image")
    if mask is None:
        return Edit(asked, picture, None)
    return Edit(asked, picture, await asyncio.to_thread(_redrawn, mask, picture, most))


async def guided(edit: Edit, parts: Parts, tenant: str) -> Guides:
    """Keep the pictures, so that the plan can be drawn again."""
    strength = edit.asked.strength or (WHOLE if edit.mask is None else MASKED)
    kept = await parts.shelf.keep(tenant, edit.picture)
    start = Start(picture=kept.sha256, strength=strength)
    if edit.mask is None:
        return Guides(start=start)
    mask = await parts.shelf.keep(tenant, edit.mask)
    return Guides(start=start, mask=Mask(picture=mask.sha256))


def _fields(form: FormData) -> EditsRequest:
    """A form knows words only: JSON's types are read from them."""
    said: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in FILES:
            continue
        if not isinstance(value, str):
            raise InvalidRequest(name, "must be text")
        said[name] = value
    try:
        return EditsRequest.model_validate(said)
    except ValidationError as error:
        raise fault(error, {}) from None


async def _file(form: FormData, *names: str) -> bytes | None:
    files = [value for name in names for value in form.getlist(name)]
    if len(files) > 1:
        raise InvalidRequest(names[0], "must be one picture; several are not joined here")
    if not files:
        return None
    if not isinstance(files[0], UploadFile):
        raise InvalidRequest(names[0], "must be a file")
    return await files[0].read()


def _redrawn(content: bytes, picture: Inspected, most: int) -> Inspected:
    """OpenAI's masks are transparent where something shall change, ours are white there."""
    checked = inspect(content, most, "mask")
    if (checked.width, checked.height) != (picture.width, picture.height):
        raise InvalidRequest("mask", f"must be {picture.width} x {picture.height}, as the image is")
    with Image.open(io.BytesIO(content)) as opened:
        if "A" not in opened.getbands() and "transparency" not in opened.info:
            raise InvalidRequest("mask", "needs an alpha channel: transparent where to redraw")
        alpha = opened.convert("RGBA").getchannel("A")
    target = io.BytesIO()
    alpha.point(lambda level: 255 if level < 128 else 0).save(target, "PNG", compress_level=1)
    return Inspected(target.getvalue(), "image/png", "png", checked.width, checked.height)
