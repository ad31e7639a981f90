"""A style bank in a folder that a Triton server and its callers on one machine all map.

The server makes it, in shares of equal size; each caller takes one for as long as it lives, and
writes to that alone. What is in it outlives the server.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from luciole.bundle import MANIFEST, Bundle
from luciole.domain import EngineError
from luciole.engines.bank import StyleBank

LAYOUT = "shares.json"
FIELD = "LUCIOLE_TRITON_BANK"


@dataclass(frozen=True)
class Shares:
    """How the places of a bank are cut; the last share is the server's own."""

    count: int
    """The server's among them."""
    size: int
    """Places of each."""

    @property
    def slots(self) -> int:
        """All places, the empty one among them."""
        return 1 + self.count * self.size

    def places(self, number: int) -> range:
        """Those of one share, from 0."""
        return range(1 + number * self.size, 1 + (number + 1) * self.size)

    @property
    def server(self) -> range:
        """The server's places."""
        return self.places(self.count - 1)


def folder_of(bundle: Bundle, shared: Path) -> Path:
    """Where the bank of exactly this bundle lies below `shared`."""
    name = hashlib.sha256((bundle.path / MANIFEST).read_bytes()).hexdigest()[:16]
    return shared.resolve() / name


def make(bundle: Bundle, shared: Path, shares: Shares) -> Path:
    """Lay the bank out unless it is there; its folder. ValueError if it is there in other sizes."""
    folder = folder_of(bundle, shared)
    folder.mkdir(parents=True, exist_ok=True)
    StyleBank(bundle.manifest.banks, shares.slots, folder, shares.server)
    part = folder / f".{LAYOUT}"
    part.write_text(json.dumps({"count": shares.count, "size": shares.size}))
    part.replace(folder / LAYOUT)
    return folder


@contextmanager
def taken(bundle: Bundle, shared: Path) -> Iterator[StyleBank]:
    """A share of the bank for the time of the block; EngineError if there is none to be had.

    The kernel gives it back when the process dies.
    """
    folder = folder_of(bundle, shared)
    try:
        shares = Shares(**json.loads((folder / LAYOUT).read_text()))
    except FileNotFoundError:
        words = f"{folder} is not there; the server must run there and hold this very bundle"
        raise EngineError(FIELD, words) from None
    handle, number = _lock(folder, shares)
    try:
        yield StyleBank(bundle.manifest.banks, shares.slots, folder, shares.places(number))
    finally:
        os.close(handle)


def _lock(folder: Path, shares: Shares) -> tuple[int, int]:
    for number in range(shares.count - 1):
        handle = os.open(folder / f"share.{number}", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
        else:
            return handle, number
    words = f"all {shares.count - 1} shares are taken; raise LUCIOLE_TRITON_SHARES at the server"
    raise EngineError(FIELD, words)
