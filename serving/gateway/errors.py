"""One table from what went wrong to what HTTP says, in the shape OpenAI's clients read."""

import math
from dataclasses import dataclass, field

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from luciole.domain import (
    BundleError,
    Busy,
    Cancelled,
    DeadlineExceeded,
    EngineBadOutput,
    EngineError,
    InvalidRequest,
    LucioleError,
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """A status, OpenAI's error type, and headers such as when to come back."""

    status: int
    type: str
    headers: dict[str, str] = field(default_factory=dict)


TABLE: dict[type[LucioleError], Answer] = {
    InvalidRequest: Answer(400, "invalid_request_error"),
    Busy: Answer(429, "rate_limit_error"),
    Cancelled: Answer(499, "invalid_request_error"),
    DeadlineExceeded: Answer(504, "server_error"),
    EngineBadOutput: Answer(502, "server_error"),
    EngineError: Answer(503, "server_error", {"Retry-After": "2"}),
    BundleError: Answer(500, "server_error"),
    LucioleError: Answer(500, "server_error"),
}


def answer_to(error: LucioleError) -> Answer:
    """Return the entry of the nearest class above the error's own."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def shaped(
    status: int, message: str, kind: str, param: str | None, code: str | None
) -> JSONResponse:
    """Return OpenAI's `{"error": ...}` body."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status_code=status)


def fault(
    errors: ValidationError | RequestValidationError, names: dict[str, str]
) -> InvalidRequest:
    """Name the field and say what is wrong, without repeating what was sent.

    `names` translates the domain's field names to those of the route.
    """
    first = errors.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidRequest("body", "is not valid JSON")
    place = [str(part) for part in first["loc"] if part != "body"]
    name = names.get(place[0], place[0]) if place else "body"
    if first["type"] == "extra_forbidden":
        return InvalidRequest(name, "is not a known field")
    words = str(first["msg"]).removeprefix("Value error, ")
    return InvalidRequest(name, words[:1].lower() + words[1:])


def install(app: FastAPI) -> None:
    """Answer every failure of `app` in one shape."""

    @app.exception_handler(LucioleError)
    async def _deliberate(_: Request, error: LucioleError) -> JSONResponse:
        answer = answer_to(error)
        response = shaped(answer.status, str(error), answer.type, error.field, error.code)
        response.headers.update(answer.headers)
        if isinstance(error, Busy):
            response.headers["Retry-After"] = str(math.ceil(error.retry_after))
        return response

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return await _deliberate(request, fault(error, {}))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        about = "body" if error.status_code in {400, 413} else None
        return shaped(error.status_code, error.detail, "invalid_request_error", about, None)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
        log.error("unforeseen", kind=type(error).__name__, exc_info=error)
        return shaped(500, "something broke on our side", "server_error", None, "internal")
