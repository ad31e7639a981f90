"""The same events as server-sent events, for whoever has no socket."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from serving.gateway.auth.needs import Reader
from serving.gateway.events.hub import TooSlow, Topic
from serving.gateway.events.snapshot import snapshot
from serving.gateway.events.socket import MOST_SOCKETS, PATIENCE, Since
from serving.gateway.generations.form import Project
from serving.gateway.parts import Its, Parts
from serving.gateway.refusals import RateLimited
from serving.storage.errors import StorageUnavailable

PING = 15
"""Seconds between two signs of life."""
router = APIRouter(prefix="/api/v1", tags=["events"])


@router.get("/events", response_class=EventSourceResponse)
async def events(
    caller: Reader,
    parts: Its,
    project: Annotated[Project | None, Query()] = None,
    job: Annotated[str | None, Query(max_length=100)] = None,
    since: Since = None,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**62)] = None,
) -> EventSourceResponse:
    """All events of the tenant, of a project or of a job; an event's id is its seq.

    After a break a browser sends the last id by itself, and goes on from there.
    """
    if job is not None:
        await parts.jobs.get(caller.tenant, job)
    if parts.hub.listening(caller.tenant) >= MOST_SOCKETS:
        raise RateLimited("events", "too many streams are open", 10)
    topic = Topic(caller.tenant, project, job)
    after = last_event_id if last_event_id is not None else since
    return EventSourceResponse(_told(parts, topic, after), ping=PING, send_timeout=PATIENCE)


async def _told(parts: Parts, topic: Topic, since: int | None) -> AsyncIterator[ServerSentEvent]:
    """A listener that is too slow is cut off; it comes again by itself."""
    newest, first = await snapshot(parts.jobs, topic.tenant, topic.project)
    yield ServerSentEvent(first, event="snapshot")
    with contextlib.suppress(TooSlow, StorageUnavailable):
        async with contextlib.aclosing(
            parts.hub.listen(topic, newest if since is None else since)
        ) as happened:
            async for told in happened:
                seq = None if told.seq is None else str(told.seq)
                yield ServerSentEvent(told.text, event=told.type, id=seq)
