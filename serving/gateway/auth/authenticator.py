"""From what a request carries to who is asking."""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from serving.gateway.auth.directory import Directory
from serving.gateway.auth.keys import looks_like_key
from serving.gateway.auth.principal import Principal, Scope, known_scopes
from serving.gateway.auth.tokens import Claims, LocalIssuer, Verifier, looks_like_token
from serving.gateway.refusals import Unauthenticated

REMEMBERED = 5.0
"""Seconds for which a credential is not looked up again; so long a revoked key may live on."""
MOST_REMEMBERED = 4096


@dataclass(frozen=True)
class TokenRules:
    """How a provider's claims become a principal."""

    tenant_claim: str | None = None
    """Which claim names the tenant; without one, each user has their own."""
    scope_claim: str = "scope"


class Authenticator:
    """Knows keys, tokens and, on a machine that is open to its owner, nobody in particular."""

    def __init__(
        self,
        directory: Directory,
        verifier: Verifier,
        local: LocalIssuer,
        owner: Principal | None = None,
        rules: TokenRules | None = None,
    ) -> None:
        self.directory, self.local, self.owner = directory, local, owner
        self._verifier, self._rules = verifier, rules or TokenRules()
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def principal(self, credential: str | None) -> Principal:
        """Who holds this key or token; Unauthenticated.

        Where an owner is set, a request without a key or token of any known shape is theirs.
        """
        if credential is not None and (
            looks_like_key(credential) or looks_like_token(credential) or self.owner is None
        ):
            return await self._holder(credential)
        if self.owner is None:
            words = "is missing; send Authorization: Bearer <API key or token>"
            raise Unauthenticated("authorization", words)
        return self.owner

    async def _holder(self, credential: str) -> Principal:
        digest, moment = hashlib.sha256(credential.encode()).digest(), time.monotonic()
        until, known = self._known.get(digest, (0.0, None))
        if known is not None and moment < until:
            return known
        found = await self._looked_up(credential)
        self._known[digest] = (moment + REMEMBERED, found)
        self._known.move_to_end(digest)
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _looked_up(self, credential: str) -> Principal:
        if looks_like_key(credential):
            holder = await self.directory.holder(credential)
            if holder is None:
                raise Unauthenticated("authorization", "the API key is unknown, revoked or over")
            return holder
        return await self._bearer(await self._verifier.claims(credential))

    async def _bearer(self, claims: Claims) -> Principal:
        if claims["iss"] == self.local.issuer.name:
            scopes = known_scopes(str(claims.get("scope", "")).split())
            return Principal(str(claims["tenant"]), claims["sub"], scopes, claims.get("user"))
        tenant = self._tenant_of(claims)
        known = await self.directory.user(claims["iss"], claims["sub"], tenant)
        granted = claims.get(self._rules.scope_claim, "")
        words = granted if isinstance(granted, list) else str(granted).split()
        # A provider's token allows what it says, and never more than the user may.
        scopes = known_scopes(map(str, words)) & known.scopes
        return Principal(known.tenant, known.subject, scopes, known.user)

    def _tenant_of(self, claims: Claims) -> str | None:
        if self._rules.tenant_claim is None:
            return None
        named = claims.get(self._rules.tenant_claim)
        if not isinstance(named, str) or not named:
            words = f"the token lacks the claim {self._rules.tenant_claim!r}"
            raise Unauthenticated("authorization", words)
        return named

    def token_for(self, principal: Principal, seconds: float) -> str:
        """A token of ours that stands for the same caller."""
        return self.local.sign(
            {
                "sub": principal.subject,
                "tenant": principal.tenant,
                "user": principal.user,
                "scope": " ".join(sorted(principal.scopes)),
            },
            seconds,
        )


def everything(tenant: str, subject: str) -> Principal:
    """Somebody who may do all within a tenant."""
    return Principal(tenant, subject, frozenset(Scope))
