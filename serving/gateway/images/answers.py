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
    inline = None if asked.response_format == "url" else ""
    pictures = [
        ImageDatum(b64_json=inline, revised_prompt=plan.prompt, seed=plan.seed) for plan in plans
    ]
    if inline is None:
        for datum, plan, content in zip(pictures, plans, files, strict=True):
            datum.url = await _address(asked, plan, content, tenant, parts, request)
    answer = ImagesResponse(
        created=int(time.time()),
        data=pictures,
        output_format=asked.form,
        quality=asked.told_quality,
        size=f"{plans[0].width}x{plans[0].height}",
        model=parts.drawing.pipeline.manifest.name,
        engine=parts.drawing.engine,
        seconds=round(time.perf_counter() - began, 3),
    )
    return Response(_filled(answer, files), media_type="application/json")


def _filled(answer: ImagesResponse, files: list[bytes]) -> bytes:
    """As JSON, with the files where Base64 is empty: a writer of JSON would read its megabytes."""
    said = answer.model_dump_json(exclude_none=True).encode()
    # Quotes within a string are escaped, so these stand for nothing else.
    first, *rest = said.split(b'"b64_json":""')
    filled = [first]
    for content, following in zip(files, rest, strict=False):
        filled += [b'"b64_json":"', pybase64.b64encode(content), b'"', following]
    return b"".join(filled)


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
