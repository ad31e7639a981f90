"""API keys: shown once, kept as hashes.

A key is 256 bits of chance, so one round of SHA-256 is enough: there is nothing to guess.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

from serving.storage.columns import new_id

PREFIX = "lk_"
SHAPE = re.compile(r"lk_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class NewKey:
    """A key at its birth, the only moment when it can be read."""

    id: str
    secret: str


def new_key() -> NewKey:
    """A key that nobody has."""
    return NewKey(new_id("key"), PREFIX + secrets.token_urlsafe(32))


def looks_like_key(words: str) -> bool:
    """Whether it can be one of ours at all."""
    return SHAPE.fullmatch(words) is not None


def hash_of(secret: str) -> str:
    """What is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()
