"""Events over a websocket: JSON frames, a snapshot first."""

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from luciole.domain import LucioleError
from serving.gateway.auth.authenticator import Authenticator
from serving.gateway.auth.needs import caller, from_our_pages
from serving.gateway.auth.principal import Principal, Scope
from serving.gateway.events.hub import Hub, TooSlow, Topic
from serving.gateway.events.snapshot import snapshot
from serving.gateway.generations.form import Project
from serving.gateway.parts import Its, Parts
from serving.gateway.refusals import Forbidden

PROTOCOL = "luciole.v1"
TOKEN = "bearer."  # noqa: S105 (what comes before a token)
VIOLATION, RESTART, LATER = 1008, 1012, 1013
MOST_SOCKETS = 1000
"""Of one tenant at one gateway."""
MOST_MESSAGES, WITHIN = 40, 10.0
"""Messages of a client, in so many seconds."""
PATIENCE = 5.0
"""Seconds in which a message must find room on its way."""

router = APIRouter()
Since = Annotated[int | None, Query(ge=0, lt=2**62)]


@router.websocket("/api/v1/events")
async def events(
    socket: WebSocket,
    parts: Its,
    project: Annotated[Project | None, Query()] = None,
    since: Since = None,
) -> None:
    """All events of the caller's tenant or of one project, from `since` on or from now."""
    protocol = PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None
    await socket.accept(protocol)
    try:
        who = await _caller(socket)
    except LucioleError as error:
        await _close(socket, VIOLATION, str(error))
        return
    if parts.hub.listening(who.tenant) >= MOST_SOCKETS:
        await _close(socket, LATER, "too many sockets are open")
        return
    talk = {
        asyncio.create_task(_tell(socket, parts, Topic(who.tenant, project), since)),
        asyncio.create_task(_hear(socket)),
    }
    done, rest = await asyncio.wait(talk, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    code, why = done.pop().result()
    if code is not None:
        await _close(socket, code, why)


async def _caller(socket: WebSocket) -> Principal:
    """A browser's socket has no headers of its own: its token comes as a subprotocol."""
    if not from_our_pages(socket):
        raise Forbidden("origin", "sockets are for this service's own pages")
    tokens = [one for one in socket.scope["subprotocols"] if one.startswith(TOKEN)]
    if tokens:
        authenticator: Authenticator = socket.app.state.authenticator
        who = await authenticator.principal(tokens[0].removeprefix(TOKEN))
    else:
        who = await caller(socket)
    who.need(Scope.READ)
    return who


async def _tell(
    socket: WebSocket, parts: Parts, topic: Topic, since: int | None
) -> tuple[int | None, str]:
    """Send until the end; how the socket is to be closed, None if the client has gone."""
    hub: Hub = parts.hub
    try:
        newest, first = await snapshot(parts.jobs, topic.tenant, topic.project)
        await _send(socket, first)
        async with contextlib.aclosing(
            hub.listen(topic, newest if since is None else since, previews=True)
        ) as happened:
            async for told in happened:
                await _send(socket, told.text if told.content is None else told.content)
    except (TooSlow, TimeoutError):
        return LATER, "read faster, and come again from your last seq"
    except (WebSocketDisconnect, RuntimeError):
        return None, ""
    except LucioleError as error:
        return LATER, str(error)
    return RESTART, "the service stops"


async def _send(socket: WebSocket, message: str | bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        if isinstance(message, str):
            await socket.send_text(message)
        else:
            await socket.send_bytes(message)


async def _hear(socket: WebSocket) -> tuple[int | None, str]:
    """Answer pings; anything else, or too much of it, ends the talk."""
    times: deque[float] = deque(maxlen=MOST_MESSAGES)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return None, ""
        if len(times) == MOST_MESSAGES and time.monotonic() - times[0] < WITHIN:
            return VIOLATION, "too many messages"
        times.append(time.monotonic())
        if not _is_ping(message.get("text")):
            return VIOLATION, 'the only message that is understood is {"type":"ping"}'
        try:
            await _send(socket, json.dumps({"v": 1, "ts": time.time(), "type": "pong"}))
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return None, ""


def _is_ping(text: str | None) -> bool:
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("type") == "ping"


async def _close(socket: WebSocket, code: int, why: str) -> None:
    """Say why, to whoever still reads."""
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(1):
            await socket.close(code, why[:120])
