"""Around every request: a name for it, a bound on its body, a line in the log."""

import random
import time
from collections.abc import Mapping

import structlog
from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.errors import answered
from serving.gateway.metrics import Metrics
from serving.gateway.refusals import TooLarge


class BodyLimit:
    """Refuses bodies over a number of bytes with 413, announced or not."""

    def __init__(self, app: ASGIApp, most: int, uploads: Mapping[str, int]) -> None:
        self._app, self._most, self._uploads = app, most, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, counting what is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._uploads.get(scope["path"], self._most)
        if _announced(scope) > most:
            refusal = answered(scope["path"], TooLarge("body", f"is over {most} bytes"))
            await refusal(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, f"body: is over {most} bytes")
            return message

        await self._app(scope, counted, send)


def _announced(scope: Scope) -> int:
    """Bytes of the body as its header says; 0 where that says nothing."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


class Observed:
    """Gives each request an id, and says afterwards what became of it; never what was asked."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        # Names have to differ and need not be secret, so the system is not asked for each.
        self._chance = random.Random()
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, timing it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, began, status = f"{self._chance.getrandbits(128):032x}", time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
            await send(message)

        before = structlog.contextvars.bind_contextvars(request=name)
        try:
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, status, time.perf_counter() - began)
            structlog.contextvars.reset_contextvars(**before)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.answered(route, status, seconds)
        say = self._log.warning if status >= 500 else self._log.info
        say("answered", method=scope["method"], route=route, status=status,
            seconds=round(seconds, 4))  # fmt: skip
