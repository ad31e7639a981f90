"""JSON Web Tokens: ours and those of an OpenID provider (RFC 7519, RFC 8725)."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OctKey

from luciole.domain import EngineError
from serving.gateway.refusals import Unauthenticated

ALGORITHMS = ("ES256", "ES384", "RS256", "PS256", "Ed25519")
"""Signatures only: a shared secret or `none` is refused, whatever a header says."""
LEEWAY = 30
"""Seconds that clocks may differ."""
LONGEST = 8192
FETCH_AGAIN = 30.0
"""Seconds between two fetches for keys that are not known."""
FETCH_PATIENCE = 5.0
KEPT = 600.0
"""Seconds until a provider's keys are read again."""

log = structlog.get_logger()
Claims = dict[str, Any]
Fetch = Callable[[], Awaitable[Mapping[str, Any]]]


class ProviderUnavailable(EngineError):
    """The provider's keys cannot be read; trying again may help."""

    code = "provider_unavailable"


class FixedKeys:
    """Keys that are known from the start."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def having(self, kid: str) -> KeySet:
        """All of them; whoever verifies finds out whether `kid` is among them."""
        return self._keys


class RemoteKeys:
    """A provider's JWKS, read again when a key is unknown, but not for every forged name."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._keys: KeySet | None = None
        self._read = self._tried = -KEPT
        self._lock = asyncio.Lock()

    async def having(self, kid: str) -> KeySet:
        """The keys; ProviderUnavailable when none could ever be read."""
        if not self._fresh(kid):
            async with self._lock:
                if not self._fresh(kid) and time.monotonic() - self._tried > FETCH_AGAIN:
                    await self._renew()
        if self._keys is None:
            raise ProviderUnavailable("authorization", "the provider's keys cannot be read")
        return self._keys

    def _fresh(self, kid: str) -> bool:
        known = self._keys is not None and any(key.kid == kid for key in self._keys)
        return known and time.monotonic() - self._read < KEPT

    async def _renew(self) -> None:
        self._tried = time.monotonic()
        try:
            found = KeySet.import_key_set({"keys": list((await self._fetch())["keys"])})
        except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
            log.warning("a provider's keys cannot be read", kind=type(error).__name__)
            return
        # A secret has no place among public keys.
        self._keys = KeySet([key for key in found if not isinstance(key, OctKey)])
        self._read = time.monotonic()


@dataclass(frozen=True)
class Issuer:
    """Whom we believe, for tokens made for `audience`."""

    name: str
    audience: str
    keys: FixedKeys | RemoteKeys
    algorithms: Sequence[str] = ALGORITHMS


class Verifier:
    """Reads tokens of issuers that are trusted; whatever is wrong is Unauthenticated."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}

    async def claims(self, token: str) -> Claims:
        """What a sound token says; Unauthenticated otherwise."""
        if len(token) > LONGEST:
            raise Unauthenticated("authorization", "the token is too long")
        header, said = _peek(token)
        name, kid = said.get("iss"), header.get("kid")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise Unauthenticated("authorization", "the token's issuer is not trusted here")
        if not isinstance(kid, str) or header.get("alg") not in issuer.algorithms:
            raise Unauthenticated("authorization", "the token's key or algorithm is not accepted")
        return _verified(token, issuer, await issuer.keys.having(kid))


def looks_like_token(words: str) -> bool:
    """Whether it has a token's three parts."""
    return words.count(".") == 2


def _verified(token: str, issuer: Issuer, keys: KeySet) -> Claims:
    expected = jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer.name},
        aud={"essential": True, "value": issuer.audience},
        sub={"essential": True},
        exp={"essential": True},
    )
    try:
        claims = jwt.decode(token, keys, algorithms=list(issuer.algorithms)).claims
        expected.validate(claims)
    except (JoseError, ValueError) as error:
        # The kind of the error is told, never what the token holds.
        words = f"the token is refused ({type(error).__name__.removesuffix('Error')})"
        raise Unauthenticated("authorization", words) from None
    return claims


def _peek(token: str) -> tuple[Claims, Claims]:
    """The header and the claims, nothing of them believed yet."""
    try:
        header, body, _ = token.split(".")
        read = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, body)]
    except (ValueError, RecursionError):
        raise Unauthenticated("authorization", "the token cannot be read") from None
    if not all(isinstance(part, dict) for part in read):
        raise Unauthenticated("authorization", "the token cannot be read")
    return read[0], read[1]


class LocalIssuer:
    """Signs the service's own tokens, such as a browser's session, with a key of its state."""

    AUDIENCE = "luciole"

    def __init__(self, key: ECKey, name: str = "luciole") -> None:
        key.ensure_kid()
        self._key, self._name = key, name

    @property
    def issuer(self) -> Issuer:
        """How these tokens are verified."""
        return Issuer(self._name, self.AUDIENCE, FixedKeys(KeySet([self._key])), ("ES256",))

    @property
    def public(self) -> Mapping[str, Any]:
        """The JWKS that others may read."""
        return KeySet([self._key]).as_dict(private=False)

    def sign(self, claims: Mapping[str, Any], seconds: float) -> str:
        """A token that lives for so long."""
        now = int(time.time())
        frame = {"iss": self._name, "aud": self.AUDIENCE, "iat": now, "exp": now + int(seconds)}
        header = {"alg": "ES256", "kid": self._key.kid}
        return jwt.encode(header, {**claims, **frame}, self._key, algorithms=["ES256"])
