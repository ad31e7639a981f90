"""One table from what went wrong to what HTTP says.

The routes under /v1 answer in the shape OpenAI's clients read, all others as RFC 9457 says.
"""

import math
from dataclasses import dataclass, field
from http import HTTPStatus

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
from serving.gateway.refusals import (
    Conflict,
    Forbidden,
    NotFound,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unprocessable,
)
from serving.jobs.errors import CharacterInUse, JobNotFound, KeyReused
from serving.orchestration.characters.errors import CharacterNameTaken, CharacterNotFound
from serving.orchestration.errors import PolicyRefusal, ServiceAway
from serving.storage.errors import StorageFull, StorageUnavailable

PROBLEM = "application/problem+json"
log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """A status, OpenAI's error type, and headers such as when to come back."""

    status: int
    type: str
    headers: dict[str, str] = field(default_factory=dict)


TABLE: dict[type[LucioleError], Answer] = {
    InvalidRequest: Answer(400, "invalid_request_error"),
    PolicyRefusal: Answer(400, "invalid_request_error"),
    Unauthenticated: Answer(401, "authentication_error", {"WWW-Authenticate": "Bearer"}),
    Forbidden: Answer(403, "permission_error"),
    NotFound: Answer(404, "invalid_request_error"),
    JobNotFound: Answer(404, "invalid_request_error"),
    CharacterNotFound: Answer(404, "invalid_request_error"),
    Conflict: Answer(409, "invalid_request_error"),
    CharacterInUse: Answer(409, "invalid_request_error"),
    CharacterNameTaken: Answer(409, "invalid_request_error"),
    TooLarge: Answer(413, "invalid_request_error"),
    Unprocessable: Answer(422, "invalid_request_error"),
    KeyReused: Answer(422, "invalid_request_error"),
    Busy: Answer(429, "rate_limit_error"),
    RateLimited: Answer(429, "rate_limit_error"),
    QuotaExceeded: Answer(429, "insufficient_quota"),
    Cancelled: Answer(499, "invalid_request_error"),
    DeadlineExceeded: Answer(504, "server_error"),
    EngineBadOutput: Answer(502, "server_error"),
    EngineError: Answer(503, "server_error", {"Retry-After": "2"}),
    ServiceAway: Answer(503, "server_error", {"Retry-After": "10"}),
    StorageFull: Answer(507, "server_error"),
    StorageUnavailable: Answer(503, "server_error"),
    BundleError: Answer(500, "server_error"),
    LucioleError: Answer(500, "server_error"),
}


def answer_to(error: LucioleError) -> Answer:
    """Return the entry of the nearest class above the error's own."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def shaped(
    path: str, status: int, message: str, kind: str, param: str | None, code: str | None
) -> JSONResponse:
    """Return OpenAI's `{"error": ...}` body under /v1, a problem elsewhere."""
    if path.startswith("/v1/"):
        error = {"message": message, "type": kind, "param": param, "code": code}
        return JSONResponse({"error": error}, status_code=status)
    problem = {
        "type": f"urn:luciole:problem:{code or 'http'}",
        "title": _title(status),
        "status": status,
        "detail": message,
        "code": code,
        "field": param,
    }
    return JSONResponse(problem, status_code=status, media_type=PROBLEM)


def _title(status: int) -> str:
    known = {one.value for one in HTTPStatus}
    return HTTPStatus(status).phrase if status in known else "Client Closed Request"


def answered(path: str, error: LucioleError) -> JSONResponse:
    """Say what went wrong, and when to come back."""
    answer = answer_to(error)
    response = shaped(path, answer.status, str(error), answer.type, error.field, error.code)
    response.headers.update(answer.headers)
    if isinstance(error, Busy | RateLimited | StorageUnavailable):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return response


def fault(
    errors: ValidationError | RequestValidationError, names: dict[str, str]
) -> InvalidRequest:
    """Name the field and say what is wrong, without repeating what was sent.

    `names` translates the domain's field names to those of the route.
    """
    first = errors.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidRequest("body", f"is not valid JSON: {first['ctx']['error']}")
    place = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    name = names.get(place[0], place[0]) if place else "body"
    if first["type"] == "extra_forbidden":
        return InvalidRequest(name, "is not a known field")
    words = str(first["msg"]).removeprefix("Value error, ")
    return InvalidRequest(name, words[:1].lower() + words[1:])


def install(app: FastAPI) -> None:
    """Answer every failure of `app` in one shape."""

    @app.exception_handler(LucioleError)
    async def _deliberate(request: Request, error: LucioleError) -> JSONResponse:
        return answered(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return answered(request.url.path, fault(error, {}))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        about = "body" if error.status_code in {400, 413} else None
        path, status = request.url.path, error.status_code
        response = shaped(path, status, error.detail, "invalid_request_error", about, None)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("unforeseen", kind=type(error).__name__, exc_info=error)
        words = "something broke on our side"
        return shaped(request.url.path, 500, words, "server_error", None, "internal")
