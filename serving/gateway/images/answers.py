"""Drawing at once for a caller who waits, and the answer in OpenAI's shape."""

import time

import pybase64
from fastapi import Request, Response
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
) -> Response:
    """Draw, write and answer with an ImagesResponse."""
    began = time.perf_counter()

    def file(plan: RenderPlan, pixels: Pixels) -> bytes:
        return file_of(parts, pixels, plan, asked.form, asked.compression)

    files = await parts.renderer.made(plans, file)
    parts.meter.note(tenant, plans)
    pictures = []
    for plan, content in zip(plans, files, strict=True):
        datum = ImageDatum(revised_prompt=plan.prompt, seed=plan.seed)
        if asked.response_format == "url":
            datum.url = await _address(asked, plan, content, tenant, parts, request)
            pictures.append(datum.model_dump_json(exclude_none=True).encode())
        else:
            pictures.append(_with_bytes(datum, content))
    answer = ImagesResponse(
        created=int(time.time()),
        data=[],
        output_format=asked.form,
        quality=asked.told_quality,
        size=f"{plans[0].width}x{plans[0].height}",
        model=parts.drawing.pipeline.manifest.name,
        engine=parts.drawing.engine,
        seconds=round(time.perf_counter() - began, 3),
    )
    said = answer.model_dump_json(exclude={"data"}, exclude_none=True).encode()
    body = b"".join((b'{"data":[', b",".join(pictures), b"],", said[1:]))
    return Response(body, media_type="application/json")


def _with_bytes(datum: ImageDatum, content: bytes) -> bytes:
    """The datum as JSON; Base64 needs no quoting, so its megabytes are copied and not read."""
    said = datum.model_dump_json(exclude_none=True).encode()
    return b"".join((b'{"b64_json":"', pybase64.b64encode(content), b'",', said[1:]))


async def _address(
    asked: ImagesRequest,
    plan: RenderPlan,
    file: bytes,
    tenant: str,
    parts: Parts,
    request: Request,
) -> str:
    """Keep the file; what opens it for a while."""
    form = asked.form
    picture = Inspected(file, form.mime, form.extension, plan.width, plan.height)
    asset = await parts.shelf.keep(tenant, picture)
    return parts.addresses.of(request, parts.shelf.path(asset))
