"""Drawing at once for a caller who waits, and the answer in OpenAI's shape."""

import asyncio
import base64
import time
from collections.abc import Sequence

from fastapi import Request
from pydantic import BaseModel

from luciole.domain import RenderPlan
from serving.gateway.admission import file_of
from serving.gateway.assets.uploads import Inspected
from serving.gateway.drawing import Pixels
from serving.gateway.encoding import PictureFormat
from serving.gateway.images.form import ImagesRequest
from serving.gateway.parts import Parts


class ImageDatum(BaseModel):
    """One picture: its bytes or its address, and the seed that draws it again."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str
    seed: int


class ImagesResponse(BaseModel):
    """OpenAI's answer; `model`, `engine` and `seconds` are ours."""

    created: int
    data: list[ImageDatum]
    background: str = "opaque"
    output_format: PictureFormat
    quality: str
    size: str
    model: str
    engine: str
    seconds: float


async def drawn(
    asked: ImagesRequest, plans: list[RenderPlan], tenant: str, parts: Parts, request: Request
) -> ImagesResponse:
    """Draw, write and answer."""
    began = time.perf_counter()
    pictures = await parts.renderer.render(plans)
    parts.meter.note(tenant, plans)
    files = await asyncio.to_thread(_files, asked, plans, pictures, parts)
    return ImagesResponse(
        created=int(time.time()),
        data=[
            ImageDatum(
                revised_prompt=plan.prompt,
                seed=plan.seed,
                **await _delivered(asked, plan, file, tenant, parts, request),
            )
            for plan, file in zip(plans, files, strict=True)
        ],
        output_format=asked.form,
        quality=asked.told_quality,
        size=f"{plans[0].width}x{plans[0].height}",
        model=parts.drawing.pipeline.manifest.name,
        engine=parts.drawing.engine,
        seconds=round(time.perf_counter() - began, 3),
    )


def _files(
    asked: ImagesRequest, plans: Sequence[RenderPlan], pictures: Sequence[Pixels], parts: Parts
) -> list[bytes]:
    return [
        file_of(parts, pixels, plan, asked.form, asked.compression)
        for plan, pixels in zip(plans, pictures, strict=True)
    ]


async def _delivered(
    asked: ImagesRequest,
    plan: RenderPlan,
    file: bytes,
    tenant: str,
    parts: Parts,
    request: Request,
) -> dict[str, str]:
    """The bytes themselves, or an address that opens them for a while."""
    if asked.response_format != "url":
        return {"b64_json": base64.b64encode(file).decode()}
    form = asked.form
    picture = Inspected(file, form.mime, form.extension, plan.width, plan.height)
    asset = await parts.shelf.keep(tenant, picture)
    return {"url": parts.addresses.of(request, parts.shelf.path(asset))}
