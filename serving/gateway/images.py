"""`/v1/images/generations` in OpenAI's shape, with the knobs of a diffusion model beside it."""

import asyncio
import base64
import re
import secrets
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from luciole.bundle import Sizes
from luciole.domain import GenerationRequest, InvalidRequest, RenderPlan, SolverName, plans
from luciole.domain.request import Guidance, Seed, Styles, Words
from serving.gateway.auth.needs import Drawer, Reader
from serving.gateway.drawing import Drawing, Pixels
from serving.gateway.encoding import PictureFormat, encode
from serving.gateway.errors import fault
from serving.gateway.infotext import infotext
from serving.gateway.recent import RecentPictures
from serving.gateway.renderer import Renderer

STEPS = {"low": 10, "medium": 20, "high": 40}
"""How many steps a word for quality stands for."""
QUALITY = {"auto": "medium", "standard": "medium", "hd": "high"}
OURS = {"count": "n", "steps": "num_inference_steps", "width": "size", "height": "size"}
"""The domain's field names as callers of this route know them."""
DEFAULT_COMPRESSION = 90


class ImagesRequest(BaseModel):
    """OpenAI's fields, then ours; what is left out or null takes its default."""

    model_config = ConfigDict(extra="forbid")

    prompt: Words
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = 1
    size: str | None = "auto"
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = "auto"
    background: Literal["auto", "opaque"] | None = "auto"
    output_format: PictureFormat | None = PictureFormat.PNG
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    response_format: Literal["b64_json", "url"] | None = "b64_json"
    stream: Literal[False] | None = False
    user: str | None = Field(default=None, max_length=512)

    negative_prompt: Words | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance_scale: Guidance | None = None
    seed: Seed | None = None
    solver: SolverName | None = None
    styles: Styles | None = None


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


def routes(drawing: Drawing, renderer: Renderer, recent: RecentPictures) -> APIRouter:
    """Everything under /v1 that makes or shows pictures."""
    router, manifest = APIRouter(prefix="/v1"), drawing.pipeline.manifest

    @router.post("/images/generations", response_model_exclude_none=True)
    async def generate(asked: ImagesRequest, request: Request, caller: Drawer) -> ImagesResponse:
        began = time.perf_counter()
        check_model(asked.model, manifest.name)
        planned = plans(resolve(asked, manifest.sizes))
        _check(planned[0])
        pictures = await renderer.render(planned)
        files = await asyncio.to_thread(_encode_all, asked, planned, pictures)
        data = [
            ImageDatum(
                revised_prompt=plan.prompt, seed=plan.seed, **_delivered(asked, file, request)
            )
            for plan, file in zip(planned, files, strict=True)
        ]
        return ImagesResponse(
            created=int(time.time()),
            data=data,
            output_format=asked.output_format or PictureFormat.PNG,
            quality=QUALITY.get(asked.quality or "auto", asked.quality or "auto"),
            size=f"{planned[0].width}x{planned[0].height}",
            model=manifest.name,
            engine=drawing.engine,
            seconds=round(time.perf_counter() - began, 3),
        )

    @router.get("/images/files/{name}")
    async def show(name: str) -> Response:
        file = recent.file(name)
        if file is None:
            raise HTTPException(404, "this picture is not kept here any more")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(file, media_type=f"image/{name.rpartition('.')[2]}", headers=headers)

    @router.get("/models")
    async def models(caller: Reader) -> dict[str, Any]:
        model = {"id": manifest.name, "object": "model", "created": 0, "owned_by": "luciole"}
        return {"object": "list", "data": [model]}

    def _check(plan: RenderPlan) -> None:
        try:
            drawing.pipeline.check(plan)
        except InvalidRequest as error:
            raise InvalidRequest(OURS.get(error.field, error.field), error.message) from None

    def _delivered(asked: ImagesRequest, file: bytes, request: Request) -> dict[str, str]:
        if asked.response_format != "url":
            return {"b64_json": base64.b64encode(file).decode()}
        name = recent.keep(file, asked.output_format or PictureFormat.PNG)
        return {"url": str(request.url_for("show", name=name))}

    def _encode_all(
        asked: ImagesRequest, planned: list[RenderPlan], pictures: list[Pixels]
    ) -> list[bytes]:
        form = asked.output_format or PictureFormat.PNG
        given = asked.output_compression
        compression = DEFAULT_COMPRESSION if given is None else given
        return [
            encode(pixels, form, compression, infotext(plan, manifest.name, manifest.source))
            for plan, pixels in zip(planned, pictures, strict=True)
        ]

    return router


def check_model(asked: str | None, served: str) -> None:
    """InvalidRequest unless the caller left the model open or named the one that is served."""
    if asked not in {None, served}:
        raise InvalidRequest("model", f"is not served here; there is {served!r}")


def resolve(asked: ImagesRequest, sizes: Sizes) -> GenerationRequest:
    """Fill in every default; InvalidRequest names the field of the route that cannot be."""
    width, height = parse_size(asked.size or "auto", sizes)
    quality = QUALITY.get(asked.quality or "auto", asked.quality or "auto")
    chosen: dict[str, Any] = {
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt,
        "width": width,
        "height": height,
        "steps": asked.num_inference_steps or STEPS[quality],
        "guidance_scale": asked.guidance_scale,
        "seed": secrets.randbits(32) if asked.seed is None else asked.seed,
        "solver": asked.solver,
        "styles": asked.styles,
        "count": asked.n,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return GenerationRequest(**given)
    except ValidationError as error:
        raise fault(error, OURS) from None


def parse_size(words: str, sizes: Sizes) -> tuple[int, int]:
    """Read `auto` or `WIDTHxHEIGHT` in pixels; InvalidRequest says which sizes there are."""
    if words == "auto":
        return sizes.default, sizes.default
    found = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", words)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not (_fits(width, sizes) and _fits(height, sizes)):
        raise InvalidRequest(
            "size",
            f"must be auto or WIDTHxHEIGHT, such as {sizes.default}x{sizes.default}, "
            f"each a multiple of {sizes.stride} from {sizes.min} to {sizes.max} pixels",
        )
    return width, height


def _fits(side: int, sizes: Sizes) -> bool:
    return sizes.min <= side <= sizes.max and side % sizes.stride == 0
