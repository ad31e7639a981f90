"""What routes ask of their callers, as annotations of their parameters."""

from collections.abc import Mapping
from typing import Annotated

import structlog
from fastapi import Depends
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from serving.gateway.auth.authenticator import Authenticator
from serving.gateway.auth.principal import Principal, Scope
from serving.gateway.refusals import Forbidden, Unauthenticated

SESSION_COOKIE = "luciole_session"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Needs(SecurityBase):
    """A dependency: the caller, who has the scope; Unauthenticated or Forbidden otherwise."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.model = HTTPBearer(description="An API key (lk_...) or a token")
        self.scheme_name = "bearer"

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Read the header, or the session's cookie from our own pages."""
        principal = await caller(connection)
        principal.need(self.scope)
        await connection.app.state.parts.accounts.take_request(principal.tenant)
        structlog.contextvars.bind_contextvars(tenant=principal.tenant)
        return principal


Drawer = Annotated[Principal, Depends(Needs(Scope.GENERATE))]
Reader = Annotated[Principal, Depends(Needs(Scope.READ))]
Writer = Annotated[Principal, Depends(Needs(Scope.WRITE))]
Admin = Annotated[Principal, Depends(Needs(Scope.ADMIN))]


async def caller(connection: HTTPConnection) -> Principal:
    """Who sent this; Unauthenticated, or Forbidden for another site's page."""
    authenticator: Authenticator = connection.app.state.authenticator
    headers = _headers(connection)
    principal = await authenticator.principal(_credential(connection, headers))
    if principal is authenticator.owner:
        _check_is_here(connection, headers)
    return principal


def _check_is_here(connection: HTTPConnection, headers: Mapping[bytes, bytes]) -> None:
    """An open machine is open to who sits at it: not to web pages, nor through a proxy."""
    named = headers.get(b"host", b"").decode("latin-1")
    host = named.rpartition(":")[0] or named
    if host not in LOOPBACK or b"x-forwarded-for" in headers or b"forwarded" in headers:
        words = "is needed by requests that do not come straight from this machine"
        raise Unauthenticated("authorization", words)
    if not _from_our_pages(connection, headers):
        raise Forbidden("origin", "this machine answers only its own pages without a key")


def _credential(connection: HTTPConnection, headers: Mapping[bytes, bytes]) -> str | None:
    """The key or token that a request carries; None without any.

    A browser sends cookies to us from any page, so with one a change must come from ours.
    """
    kind, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    if key := headers.get(b"x-api-key"):
        return key.decode("latin-1")
    cookie = connection.cookies.get(SESSION_COOKIE) if b"cookie" in headers else None
    if cookie and not _from_our_pages(connection, headers):
        raise Forbidden("origin", "a session is only taken from this service's own pages")
    return cookie


def from_our_pages(connection: HTTPConnection) -> bool:
    """Whether no other site's page can have sent this; without a browser there is no origin."""
    return _from_our_pages(connection, _headers(connection))


def _from_our_pages(connection: HTTPConnection, headers: Mapping[bytes, bytes]) -> bool:
    origin = headers.get(b"origin")
    if origin is not None:
        return origin.partition(b"://")[2] == headers.get(b"host")
    if connection.scope["type"] == "websocket":
        return True
    site = headers.get(b"sec-fetch-site", b"none")
    return connection.scope["method"] in SAFE_METHODS or site in {b"none", b"same-origin"}


def _headers(connection: HTTPConnection) -> dict[bytes, bytes]:
    """The first of each name; every look into `connection.headers` goes through all of them."""
    return dict(reversed(connection.scope["headers"]))
