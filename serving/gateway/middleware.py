"""Around every request: a name for it, a bound on its body, a line in the log."""

import time
import uuid
from collections.abc import Mapping

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.errors import answered
from serving.gateway.metrics import Metrics
from serving.gateway.refusals import TooLarge

log = structlog.get_logger()


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
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > most:
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


class Observed:
    """Gives each request an id, and says afterwards what became of it; never what was asked."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, timing it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, began, status = uuid.uuid4().hex, time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = name
            await send(message)

        with structlog.contextvars.bound_contextvars(request=name):
            try:
                await self._app(scope, receive, noted)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        level = log.warning if status >= 500 else log.info
        level("answered", method=scope["method"], route=route, status=status,
              seconds=round(seconds, 4))  # fmt: skip
