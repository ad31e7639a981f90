"""Assets over HTTP."""

import asyncio
import re
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel

from serving.gateway.assets.ranges import answer
from serving.gateway.assets.shelf import Asset
from serving.gateway.assets.uploads import FORMATS, inspect
from serving.gateway.auth.needs import Reader, Writer, caller
from serving.gateway.auth.principal import Scope
from serving.gateway.cursors import Limit, PictureName, cursor_of, named_by
from serving.gateway.events.announcing import announce
from serving.gateway.parts import Its, Parts
from serving.gateway.refusals import NotFound, Unauthenticated
from serving.storage.objects import IMMUTABLE

NAME = re.compile(r"([0-9a-f]{64})\.(png|jpg|webp|gif|json)")
BODY = {"content": {mime: {"schema": {"type": "string", "format": "binary"}}
                    for mime, _ in FORMATS.values()}, "required": True}  # fmt: skip


class AssetShown(BaseModel):
    """A file; `url` opens it for a while."""

    sha256: str
    mime: str
    size: int
    width: int | None
    height: int | None
    created_at: AwareDatetime
    url: str

    @classmethod
    def of(cls, asset: Asset, parts: Parts, request: Request) -> Self:
        """As this caller reaches it."""
        url = parts.addresses.of(request, parts.shelf.path(asset))
        known = {name: getattr(asset, name) for name in cls.model_fields if name != "url"}
        return cls(url=url, **known)


class AssetPage(BaseModel):
    """Some files, and where the next ones are."""

    items: list[AssetShown]
    next_cursor: str | None


router = APIRouter(tags=["assets"])


@router.post("/api/v1/assets", status_code=201, openapi_extra={"requestBody": BODY})
async def upload(request: Request, caller: Writer, parts: Its) -> AssetShown:
    """Keep a PNG, JPEG or WebP picture, sent as the body; the same bytes are kept once."""
    content = await request.body()
    most = parts.settings.upload_pixels
    picture = await asyncio.to_thread(inspect, content, most)
    kept = await parts.shelf.keep(caller.tenant, picture)
    await announce(parts.jobs, caller.tenant, "asset", kept.sha256)
    return AssetShown.of(kept, parts, request)


@router.get("/api/v1/assets")
async def list_assets(
    request: Request,
    caller: Reader,
    parts: Its,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> AssetPage:
    """The newest first."""
    before = None
    if cursor is not None:
        before = await named_by(cursor, lambda sha: parts.shelf.find(caller.tenant, sha))
    found = await parts.shelf.listed(caller.tenant, before, limit)
    following = cursor_of(found[-1].sha256) if len(found) == limit else None
    items = [AssetShown.of(asset, parts, request) for asset in found]
    return AssetPage(items=items, next_cursor=following)


@router.get("/api/v1/assets/{sha256}")
async def show_asset(
    sha256: PictureName, request: Request, caller: Reader, parts: Its
) -> AssetShown:
    """What is known of a file."""
    return AssetShown.of(await parts.shelf.find(caller.tenant, sha256), parts, request)


@router.delete("/api/v1/assets/{sha256}", status_code=204)
async def forget_asset(sha256: PictureName, caller: Writer, parts: Its) -> None:
    """Drop an upload; what a job drew stays."""
    await parts.shelf.forget(caller.tenant, sha256)
    await announce(parts.jobs, caller.tenant, "asset", sha256)


@router.api_route("/assets/{name}", methods=["GET", "HEAD"], include_in_schema=False)
async def content(
    name: str, request: Request, parts: Its, expires: int = 0, signature: str = ""
) -> Response:
    """The bytes: for whoever has a signed address, and for the tenant's own callers."""
    found = NAME.fullmatch(name)
    if found is None:
        raise NotFound("asset", "there is no such asset")
    sha256, extension = found.groups()
    if parts.shelf.signer.opens(name, expires, signature):
        asset, cache = await parts.shelf.signed(sha256), IMMUTABLE
    elif asset := await parts.shelf.public(sha256):
        cache = IMMUTABLE
    else:
        asset, cache = await _own(request, parts, sha256), IMMUTABLE.replace("public", "private")
    if asset is None or asset.extension != extension:
        raise NotFound("asset", "there is no such asset")
    return answer(await parts.shelf.content(asset), asset.mime, sha256, cache, request.headers)


async def _own(request: Request, parts: Parts, sha256: str) -> Asset:
    """NotFound also for callers that nobody knows: an address tells nothing."""
    try:
        who = await caller(request)
    except Unauthenticated:
        raise NotFound("asset", "there is no such asset, or its address is over") from None
    who.need(Scope.READ)
    return await parts.shelf.find(who.tenant, sha256)
