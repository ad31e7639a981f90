"""Keep, show, ask what is stale, build."""

import asyncio
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from serving.gateway.admission import admit
from serving.gateway.auth.needs import Drawer, Reader, Writer
from serving.gateway.cursors import Limit, cursor_of, named_by
from serving.gateway.events.announcing import announce
from serving.gateway.generations.routes import Key
from serving.gateway.generations.shown import accepted
from serving.gateway.parts import Its, Parts
from serving.gateway.storyboards.boards import KIND
from serving.gateway.storyboards.compiled import compiled, new_build, planned
from serving.gateway.storyboards.form import BuildForm, StoryboardForm, read_storyboard
from serving.gateway.storyboards.shown import (
    AcceptedBuild,
    FramesShown,
    StoryboardCard,
    StoryboardPage,
    StoryboardShown,
    frames_shown,
)
from serving.jobs.work import Idempotency

Id = Annotated[str, Path(max_length=100)]
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/StoryboardForm"}},
            "application/yaml": {"schema": {"$ref": "#/components/schemas/StoryboardForm"}},
        },
    }
}
router = APIRouter(prefix="/api/v1/storyboards", tags=["storyboards"])


@router.post("", status_code=201, openapi_extra=BODY)
async def create(
    request: Request, response: Response, caller: Writer, parts: Its
) -> StoryboardShown:
    """Keep a storyboard, sent as JSON or YAML; it is compiled, and not drawn yet."""
    document = await _sent(request, parts, caller.tenant)
    made = await parts.boards.create(caller.tenant, document)
    await announce(parts.jobs, caller.tenant, KIND, made.id)
    where = f"/api/v1/storyboards/{made.id}"
    response.headers["Location"] = parts.addresses.of(request, where)
    return StoryboardShown.of(made)


@router.get("")
async def list_storyboards(
    caller: Reader,
    parts: Its,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> StoryboardPage:
    """The newest first."""
    before = None
    if cursor is not None:
        before = await named_by(cursor, lambda board: parts.boards.find(caller.tenant, board))
    found = await parts.boards.listed(caller.tenant, before, limit)
    following = cursor_of(found[-1].id) if len(found) == limit else None
    return StoryboardPage(items=[StoryboardCard.of(one) for one in found], next_cursor=following)


@router.get("/{storyboard}")
async def show(storyboard: Id, caller: Reader, parts: Its) -> StoryboardShown:
    """Show it as it was written last."""
    return StoryboardShown.of(await parts.boards.find(caller.tenant, storyboard))


@router.put("/{storyboard}", openapi_extra=BODY)
async def replace(storyboard: Id, request: Request, caller: Writer, parts: Its) -> StoryboardShown:
    """Write it anew; frames that nothing of it touches stay fresh."""
    await parts.boards.find(caller.tenant, storyboard)
    document = await _sent(request, parts, caller.tenant)
    made = await parts.boards.replace(caller.tenant, storyboard, document)
    await announce(parts.jobs, caller.tenant, KIND, storyboard)
    return StoryboardShown.of(made)


@router.delete("/{storyboard}", status_code=204)
async def forget(storyboard: Id, caller: Writer, parts: Its) -> None:
    """Delete it; what its builds drew stays with them."""
    await parts.boards.forget(caller.tenant, storyboard)
    await announce(parts.jobs, caller.tenant, KIND, storyboard)


@router.get("/{storyboard}/frames")
async def frames(storyboard: Id, request: Request, caller: Reader, parts: Its) -> FramesShown:
    """Say which frames are stale, and show the others."""
    board = await parts.boards.find(caller.tenant, storyboard)
    return frames_shown(await compiled(parts, caller.tenant, board), parts, request)


@router.post("/{storyboard}/builds", status_code=202)
async def build(
    storyboard: Id,
    form: BuildForm,
    request: Request,
    response: Response,
    caller: Drawer,
    parts: Its,
    idempotency_key: Key = None,
) -> AcceptedBuild:
    """Draw what is stale, then make contact sheet, animatic and manifest."""
    board = await parts.boards.find(caller.tenant, storyboard)
    found = await compiled(parts, caller.tenant, board)
    new = await new_build(parts, caller, board, found, form.project)
    drawing = [frame.shot.name for frame in found.stale]
    key = None
    if idempotency_key is not None:
        said = f"{board.id}\n{form.model_dump_json()}"
        digest = hashlib.sha256(said.encode()).hexdigest()
        key = Idempotency(idempotency_key, digest, {"drawing": drawing})
    if found.stale:
        await admit(parts, caller.tenant, [frame.plan for frame in found.stale])
    done = await parts.jobs.accept(new, key)
    shown = accepted(done.job, parts, request)
    response.headers["Location"] = shown.status_url
    if done.again:
        response.headers["Idempotency-Replayed"] = "true"
    return AcceptedBuild(**{"drawing": drawing, **dict(shown), **done.response})


async def _sent(request: Request, parts: Parts, tenant: str) -> StoryboardForm:
    """What the body says, once it is known that it can be followed."""
    kind = request.headers.get("content-type", "application/json")
    document = await asyncio.to_thread(read_storyboard, await request.body(), kind)
    await planned(parts, tenant, document)
    return document
