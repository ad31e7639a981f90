"""Keys and tokens over HTTP."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import HTTPConnection

from serving.gateway.auth.authenticator import Authenticator
from serving.gateway.auth.directory import KeyCard
from serving.gateway.auth.needs import Admin, Reader
from serving.gateway.auth.principal import Scope
from serving.gateway.refusals import Forbidden

TOKEN_SECONDS = 900


class KeyRequest(BaseModel):
    """A key to be made; without `expires_at` it lives until it is revoked."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_at: AwareDatetime | None = None


class KeyShown(BaseModel):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    revoked_at: AwareDatetime | None

    @classmethod
    def of(cls, card: KeyCard) -> Self:
        """As the directory knows it."""
        return cls(**vars(card))


class KeyMade(BaseModel):
    """A new key; `secret` is shown this one time."""

    id: str
    secret: str


class Me(BaseModel):
    """How the service sees its caller."""

    tenant: str
    subject: str
    scopes: list[Scope]


class Token(BaseModel):
    """A token for where a key would be too much, such as a browser's socket."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 (RFC 6750's word)
    expires_in: int = TOKEN_SECONDS


async def authenticator_of(connection: HTTPConnection) -> Authenticator:
    """That of the app that answers."""
    authenticator: Authenticator = connection.app.state.authenticator
    return authenticator


Access = Annotated[Authenticator, Depends(authenticator_of)]
router = APIRouter(tags=["access"])


@router.get("/api/v1/me")
async def me(caller: Reader) -> Me:
    """Show how the service sees its caller."""
    return Me(tenant=caller.tenant, subject=caller.subject, scopes=sorted(caller.scopes))


@router.post("/api/v1/keys", status_code=201)
async def make_key(asked: KeyRequest, caller: Admin, access: Access) -> KeyMade:
    """Make a key of the tenant; its secret is told this one time."""
    if not caller.scopes.issuperset(asked.scopes):
        raise Forbidden("scopes", "a key cannot allow more than who makes it may")
    made = await access.directory.issue(
        caller.tenant, asked.name, asked.scopes, asked.expires_at, caller.user
    )
    return KeyMade(id=made.id, secret=made.secret)


@router.get("/api/v1/keys")
async def list_keys(caller: Admin, access: Access) -> list[KeyShown]:
    """The tenant's keys, without their secrets."""
    return [KeyShown.of(card) for card in await access.directory.keys(caller.tenant)]


@router.delete("/api/v1/keys/{key}", status_code=204)
async def revoke_key(key: str, caller: Admin, access: Access) -> None:
    """Let a key open nothing any more."""
    await access.directory.revoke(caller.tenant, key)


@router.post("/api/v1/token")
async def token(caller: Reader, access: Access) -> Token:
    """Give a short-lived token for where a key would be too much."""
    return Token(access_token=access.token_for(caller, TOKEN_SECONDS))


@router.get("/.well-known/jwks.json", include_in_schema=False)
async def jwks(access: Access) -> Mapping[str, Any]:
    """The public half of what signs our tokens."""
    return access.local.public
