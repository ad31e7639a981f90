"""Every call as data: what is sent, and what becomes of the answer. No connection lives here."""

import base64
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter

from luciole.client.errors import KINDS, ApiError, Conflict, RateLimited
from luciole.client.records import (
    AcceptedJob,
    Asset,
    Job,
    Me,
    NewKey,
    NewWebhook,
    Page,
    Picture,
    Usage,
    Webhook,
)

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same call may succeed."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request and the reading of its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    json: Any = None
    content: bytes | None = None
    data: Mapping[str, str] | None = None
    files: Sequence[tuple[str, tuple[str, bytes]]] | None = None
    """With `data`, a form with files."""
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Whether sending it twice does no more than once."""


def generate(
    prompt: str, idempotency_key: str | None, more: Mapping[str, Any]
) -> Call[AcceptedJob]:
    """Without a key of the caller's, one of chance makes it safe to send again."""
    body = {"prompt": prompt} | {_camel(k): v for k, v in more.items() if v is not None}
    headers = {"idempotency-key": idempotency_key or uuid.uuid4().hex}
    path = "/api/v1/generations"
    return Call("POST", path, record(AcceptedJob), json=plain(body), headers=headers)


def job(name: str) -> Call[Job]:
    """How it stands."""
    return Call("GET", f"/api/v1/jobs/{part(name)}", record(Job))


def cancel(name: str) -> Call[Job]:
    """Stop at the next step."""
    return Call("POST", f"/api/v1/jobs/{part(name)}/cancel", record(Job))


def jobs(
    status: Sequence[str], project: str | None, limit: int, cursor: str | None
) -> Call[Page[Job]]:
    """A page, the newest first."""
    query = {"status": list(status), "project": project, "limit": limit, "cursor": cursor}

    def read(answer: httpx.Response) -> Page[Job]:
        found = answer.json()
        items = [Job.model_validate(item) for item in found["items"]]
        return Page[Job](items=items, next_cursor=found["nextCursor"])

    return Call("GET", "/api/v1/jobs", read, query=given(query))


def upload(content: bytes) -> Call[Asset]:
    """Keep a picture."""
    return Call("POST", "/api/v1/assets", record(Asset), content=content)


def asset(sha256: str) -> Call[Asset]:
    """What is known of a file."""
    return Call("GET", f"/api/v1/assets/{part(sha256)}", record(Asset))


def assets(limit: int, cursor: str | None) -> Call[Page[Asset]]:
    """A page, the newest first."""
    query = given({"limit": limit, "cursor": cursor})
    return Call("GET", "/api/v1/assets", record(Page[Asset]), query=query)


def content(url: str) -> Call[bytes]:
    """The bytes behind an address that the service gave."""
    return Call("GET", url, lambda answer: answer.content)


def usage(since: datetime | None, until: datetime | None) -> Call[Usage]:
    """What was used."""
    times = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    return Call("GET", "/api/v1/usage", record(Usage), query=given(times))


def me() -> Call[Me]:
    """Who we are."""
    return Call("GET", "/api/v1/me", record(Me))


def make_key(name: str, scopes: Sequence[str]) -> Call[NewKey]:
    """Sent once: a second key would be one too many."""
    body = {"name": name, "scopes": list(scopes)}
    return Call("POST", "/api/v1/keys", record(NewKey), json=body, repeatable=False)


def revoke_key(name: str) -> Call[None]:
    """It opens nothing any more."""
    return Call("DELETE", f"/api/v1/keys/{part(name)}", lambda _: None)


def make_webhook(url: str, types: Sequence[str]) -> Call[NewWebhook]:
    """Sent once, as keys are."""
    body = {"url": url, "types": list(types)}
    return Call("POST", "/api/v1/webhooks", record(NewWebhook), json=body, repeatable=False)


def webhooks() -> Call[list[Webhook]]:
    """All of the tenant's."""
    every = TypeAdapter(list[Webhook])
    return Call("GET", "/api/v1/webhooks", lambda answer: every.validate_json(answer.content))


def remove_webhook(name: str) -> Call[None]:
    """Nothing more is sent there."""
    return Call("DELETE", f"/api/v1/webhooks/{part(name)}", lambda _: None)


def draw(prompt: str, more: Mapping[str, Any]) -> Call[list[Picture]]:
    """Pictures at once, in OpenAI's shape; sent once, for it costs twice to draw twice."""
    body = {"prompt": prompt} | given(more)

    def read(answer: httpx.Response) -> list[Picture]:
        return [
            Picture(content=base64.b64decode(one["b64_json"]), seed=one["seed"])
            for one in answer.json()["data"]
        ]

    path = "/v1/images/generations"
    return Call("POST", path, read, json=plain(body), repeatable=False)


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, if it is a success; else the error that it tells, in either of its shapes."""
    if answer.is_success:
        return answer
    status = answer.status_code
    told = _told(answer)
    kind = told.get("code")
    field = told.get("field") or told.get("param") or "request"
    words = str(told.get("detail") or told.get("message") or f"HTTP {status}")
    cause = Conflict if kind == "idempotency_key_reused" else KINDS.get(status, ApiError)
    error = cause(field, words.removeprefix(f"{field}: "), status, kind)
    if isinstance(error, RateLimited):
        error.retry_after = pause_of(answer)
    raise error


def pause_of(answer: httpx.Response) -> float | None:
    """Seconds that the service asks to wait."""
    said = answer.headers.get("retry-after", "")
    return float(said) if said.isdigit() else None


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    inner = found.get("error", found) if isinstance(found, dict) else {}
    return inner if isinstance(inner, dict) else {}


def record(kind: type[M]) -> Callable[[httpx.Response], M]:
    """Reads an answer as a type."""
    return lambda answer: kind.model_validate_json(answer.content)


def given(query: Mapping[str, Any]) -> dict[str, Any]:
    """What says something."""
    return {name: value for name, value in query.items() if value not in (None, [])}


def plain(value: Any) -> Any:
    """The domain's own types as JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def part(name: str) -> str:
    """One part of a path, whatever is in it."""
    return quote(name, safe="")
