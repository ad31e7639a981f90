"""Keys and tokens over HTTP."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

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


def routes(authenticator: Authenticator) -> APIRouter:
    """Who am I, my tenant's keys, and short-lived tokens."""
    router = APIRouter(prefix="/api/v1", tags=["access"])
    directory = authenticator.directory

    @router.get("/me")
    async def me(caller: Reader) -> Me:
        return Me(tenant=caller.tenant, subject=caller.subject, scopes=sorted(caller.scopes))

    @router.post("/keys", status_code=201)
    async def make_key(asked: KeyRequest, caller: Admin) -> KeyMade:
        if not caller.scopes.issuperset(asked.scopes):
            raise Forbidden("scopes", "a key cannot allow more than who makes it may")
        made = await directory.issue(
            caller.tenant, asked.name, asked.scopes, asked.expires_at, caller.user
        )
        return KeyMade(id=made.id, secret=made.secret)

    @router.get("/keys")
    async def list_keys(caller: Admin) -> list[KeyShown]:
        return [KeyShown.of(card) for card in await directory.keys(caller.tenant)]

    @router.delete("/keys/{key}", status_code=204)
    async def revoke_key(key: str, caller: Admin) -> None:
        await directory.revoke(caller.tenant, key)

    @router.post("/token")
    async def token(caller: Reader) -> Token:
        return Token(access_token=authenticator.token_for(caller, TOKEN_SECONDS))

    return router


def well_known(authenticator: Authenticator) -> APIRouter:
    """The public half of what signs our tokens."""
    router = APIRouter()

    @router.get("/.well-known/jwks.json", include_in_schema=False)
    async def jwks() -> Mapping[str, Any]:
        return authenticator.local.public

    return router
