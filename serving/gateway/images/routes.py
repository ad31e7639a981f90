"""`/v1/images/generations`, `/v1/images/edits` and `/v1/models`."""

from typing import Any

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse

from luciole.domain import RenderPlan
from serving.gateway.admission import admit, aside
from serving.gateway.auth.needs import Drawer, Reader
from serving.gateway.direct import DirectRoute
from serving.gateway.images.answers import ImagesResponse, drawn
from serving.gateway.images.edits import EditsRequest, guided, read_edit
from serving.gateway.images.form import ImagesRequest, nearest_size, planned
from serving.gateway.images.streaming import streamed
from serving.gateway.parts import Its, Parts, parts_of

router = APIRouter(prefix="/v1", tags=["images"])
PICTURE = {"type": "string", "format": "binary"}
EDIT_FIELDS = EditsRequest.model_json_schema(ref_template="#/components/schemas/{model}")
EDIT_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["prompt", "image"],
                "properties": {
                    "image": PICTURE,
                    "mask": PICTURE,
                    **{name: {"type": "string"} for name in EDIT_FIELDS["properties"]},
                },
            }
        }
    },
}


async def generate(asked: ImagesRequest, request: Request, caller: Drawer) -> Response:
    """Draw from words; with `stream`, as server-sent events."""
    parts = await parts_of(request)
    plans = await aside(parts, planned, asked, parts.drawing.pipeline)
    await parts.shelf.check(caller.tenant, plans[0].pictures)
    return await _answered(asked, plans, caller.tenant, parts, request, "image_generation")


router.add_api_route(
    "/images/generations",
    generate,
    methods=["POST"],
    response_model=ImagesResponse,
    route_class_override=DirectRoute,
)


@router.post(
    "/images/edits",
    response_model=ImagesResponse,
    openapi_extra={"requestBody": EDIT_BODY},
)
async def edit(request: Request, caller: Drawer, parts: Its) -> Response:
    """Draw a picture again, or what lies under a mask's transparent parts."""
    found = await read_edit(request, parts)
    manifest = parts.drawing.pipeline.manifest
    size = nearest_size(found.picture.width, found.picture.height, manifest.sizes)
    guides = await guided(found, parts, caller.tenant)
    plans = await aside(parts, planned, found.asked, parts.drawing.pipeline, guides, size)
    await parts.shelf.check(caller.tenant, plans[0].pictures)
    return await _answered(found.asked, plans, caller.tenant, parts, request, "image_edit")


@router.get("/models")
async def models(caller: Reader, parts: Its) -> dict[str, Any]:
    """The one that is served."""
    name = parts.drawing.pipeline.manifest.name
    model = {"id": name, "object": "model", "created": 0, "owned_by": "luciole"}
    return {"object": "list", "data": [model]}


async def _answered(
    asked: ImagesRequest,
    plans: list[RenderPlan],
    tenant: str,
    parts: Parts,
    request: Request,
    kind: str,
) -> Response:
    await admit(parts, tenant, plans)
    if asked.stream:
        return EventSourceResponse(streamed(asked, plans, tenant, parts, kind), send_timeout=30)
    return await drawn(asked, plans, tenant, parts, request)
