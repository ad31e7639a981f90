"""An OpenID provider: what it publishes of itself (OpenID Connect Discovery 1.0)."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

PATIENCE = 5.0
KEPT = 3600.0


class Provider:
    """Reads the provider's metadata and keys over HTTPS, or over HTTP on this machine."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._metadata: Mapping[str, Any] | None = None
        self._until = 0.0

    @property
    def metadata_url(self) -> str:
        """Where the provider describes itself."""
        return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"

    async def metadata(self) -> Mapping[str, Any]:
        """Addresses of everything else; httpx.HTTPError or ValueError if it cannot be read."""
        if self._metadata is None or time.monotonic() > self._until:
            found = await _read(self.metadata_url)
            if found.get("issuer") != self.issuer:
                raise ValueError(f"{self.metadata_url} speaks for another issuer")
            self._metadata, self._until = found, time.monotonic() + KEPT
        return self._metadata

    async def keys(self) -> Mapping[str, Any]:
        """The JWKS of now."""
        return await _read((await self.metadata())["jwks_uri"])


async def _read(url: str) -> Mapping[str, Any]:
    async with httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False) as client:
        answer = await client.get(url)
        answer.raise_for_status()
        found: Mapping[str, Any] = answer.json()
    return found
