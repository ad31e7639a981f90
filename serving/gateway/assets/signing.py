"""Addresses that open one file for a while, to whoever has them."""

import hashlib
import hmac
import math
import time


class Signer:
    """Signs names and times; whoever holds the key can."""

    def __init__(self, key: bytes, seconds: float) -> None:
        self._key, self._seconds = key, seconds

    def query(self, name: str) -> str:
        """What is added to the address of the file `name`.

        Times are rounded up, so that all addresses of a while are the same and caches work.
        """
        expires = (math.floor(time.time() / self._seconds) + 2) * self._seconds
        return f"expires={int(expires)}&signature={self._signature(name, int(expires))}"

    def opens(self, name: str, expires: int, signature: str) -> bool:
        """Whether these came from `query`, not too long ago."""
        expected = self._signature(name, expires)
        return hmac.compare_digest(expected, signature) and time.time() < expires

    def _signature(self, name: str, expires: int) -> str:
        said = f"{name}\n{expires}".encode()
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()
