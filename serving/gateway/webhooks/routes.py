"""Webhook endpoints and what was sent to them."""

import asyncio
import base64
import secrets
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, insert, select

from serving.gateway.auth.needs import Reader, Writer
from serving.gateway.parts import Its
from serving.gateway.refusals import Conflict, NotFound
from serving.gateway.webhooks.destinations import LONGEST, check_destination
from serving.storage.columns import new_id, now
from serving.storage.database import READING
from serving.storage.tables import WebhookEndpointRow, WebhookOutboxRow
from serving.storage.writing import storage_errors

MOST = 20
"""Endpoints of one tenant."""
SHOWN = 100
"""Deliveries that are told."""
router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])


class Kind(StrEnum):
    """What can be heard of."""

    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELED = "job.canceled"
    EXPIRED = "job.expired"


class EndpointRequest(BaseModel):
    """Where to send, and of what; without `types`, of everything."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    types: Annotated[list[Kind], Field(max_length=len(Kind))] = []


class Endpoint(BaseModel):
    """An endpoint; its secret is not told again."""

    id: str
    url: str
    types: list[str]
    created_at: AwareDatetime
    disabled_at: AwareDatetime | None


class NewEndpoint(Endpoint):
    """With the secret that signs messages, as standardwebhooks.com says."""

    secret: str


class Delivery(BaseModel):
    """A message: pending, sent or refused."""

    id: str
    job: str
    type: str
    state: str
    attempts: int
    error: str | None
    created_at: AwareDatetime


@router.post("", status_code=201)
async def make_endpoint(asked: EndpointRequest, caller: Writer, parts: Its) -> NewEndpoint:
    """Hear of the ends of jobs; Standard Webhooks signs every message."""
    await asyncio.to_thread(check_destination, asked.url, parts.settings.webhooks_inside)
    row = {
        "id": new_id("hook"),
        "tenant": caller.tenant,
        "url": asked.url,
        "secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "types": sorted(set(asked.types)),
        "created_at": now(),
    }
    mine = select(func.count()).where(WebhookEndpointRow.tenant == caller.tenant)
    with storage_errors():
        async with parts.database.begin() as connection:
            if (await connection.scalar(mine) or 0) >= MOST:
                raise Conflict("webhooks", f"are {MOST} already; remove one first")
            await connection.execute(insert(WebhookEndpointRow).values(row))
    return NewEndpoint.model_validate(row | {"disabled_at": None})


@router.get("")
async def list_endpoints(caller: Reader, parts: Its) -> list[Endpoint]:
    """The oldest first."""
    columns = [getattr(WebhookEndpointRow, name) for name in Endpoint.model_fields]
    asked = select(*columns).where(WebhookEndpointRow.tenant == caller.tenant)
    in_order = asked.order_by(WebhookEndpointRow.created_at, WebhookEndpointRow.id)
    with storage_errors():
        async with parts.database.execution_options(**READING).connect() as connection:
            rows = (await connection.execute(in_order)).mappings().all()
    return [Endpoint.model_validate(dict(row)) for row in rows]


@router.delete("/{webhook}", status_code=204)
async def remove_endpoint(webhook: str, caller: Writer, parts: Its) -> None:
    """Nothing more is sent there, not even what waits."""
    one = delete(WebhookEndpointRow).where(
        WebhookEndpointRow.tenant == caller.tenant, WebhookEndpointRow.id == webhook
    )
    with storage_errors():
        async with parts.database.begin() as connection:
            gone = (await connection.execute(one)).rowcount
    if gone == 0:
        raise NotFound("webhook", "there is no such endpoint")


@router.get("/{webhook}/deliveries")
async def list_deliveries(webhook: str, caller: Reader, parts: Its) -> list[Delivery]:
    """The latest messages to an endpoint, the newest first."""
    mine = select(WebhookEndpointRow.id).where(
        WebhookEndpointRow.tenant == caller.tenant, WebhookEndpointRow.id == webhook
    )
    columns = [getattr(WebhookOutboxRow, name) for name in Delivery.model_fields]
    asked = select(*columns).where(
        WebhookOutboxRow.tenant == caller.tenant, WebhookOutboxRow.endpoint == webhook
    )
    newest = asked.order_by(WebhookOutboxRow.created_at.desc()).limit(SHOWN)
    with storage_errors():
        async with parts.database.execution_options(**READING).connect() as connection:
            if await connection.scalar(mine) is None:
                raise NotFound("webhook", "there is no such endpoint")
            rows = (await connection.execute(newest)).mappings().all()
    return [Delivery.model_validate(dict(row)) for row in rows]
