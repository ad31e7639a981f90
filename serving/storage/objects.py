"""Files by the SHA-256 of their bytes: a local folder or an S3 bucket behind one interface."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.exceptions import NotFoundError as Missing
from obstore.store import LocalStore, ObjectStore, S3Store

from luciole.domain import InvalidRequest
from serving.storage.errors import StorageFull, StorageUnavailable

PREFIX = "sha256"
PAGE = 500
IMMUTABLE = "public, max-age=31536000, immutable"
"""What caches are told: the bytes behind a hash never change."""
PATIENCE: Any = {
    "client_options": {"allow_http": True, "connect_timeout": "3s", "timeout": "30s"},
    "retry_config": {"max_retries": 4, "retry_timeout": timedelta(seconds=30)},
}
"""With an S3 server that is away or silent: callers are told within a minute. An endpoint that is
given as http: is meant so."""


@dataclass(frozen=True)
class Stored:
    """A file that is there; `size` in bytes."""

    sha256: str
    extension: str
    size: int
    changed_at: datetime


class Objects:
    """A file is written under another name and renamed, so nobody ever reads half of it."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._folder = Path(str(store.prefix)) if isinstance(store, LocalStore) else None

    def put(self, content: bytes, extension: str, mime: str) -> str:
        """Keep a file and return its hash; StorageFull, StorageUnavailable. Twice is once.

        What is there already is written over, with the same bytes: it becomes young by that, so
        that no sweep of old orphans takes it before a row refers to it.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = path_of(sha256, extension)
        try:
            if self._folder is None:
                attributes: Any = {"Content-Type": mime, "Cache-Control": IMMUTABLE}
                obstore.put(self.store, path, content, attributes=attributes)
            else:
                obstore.put(self.store, path, content)
                _settle(self._folder / path)
        except (BaseError, OSError) as error:
            raise _translated(error) from error
        return sha256

    def get(self, sha256: str, extension: str) -> bytes | None:
        """The bytes; None if there is no such file."""
        try:
            return obstore.get(self.store, path_of(sha256, extension)).bytes().to_bytes()
        except (Missing, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise _translated(error) from error

    def delete(self, sha256: str, extension: str) -> None:
        """Remove a file; one that is not there is fine."""
        try:
            obstore.delete(self.store, path_of(sha256, extension))
        except (Missing, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise _translated(error) from error

    def pages(self) -> Iterator[list[Stored]]:
        """Every file, some at a time, in no order."""
        for page in obstore.list(self.store, PREFIX, chunk_size=PAGE):
            names = [(found, found["path"].rsplit("/", 1)[1].partition(".")) for found in page]
            yield [
                Stored(sha256, extension, found["size"], found["last_modified"])
                for found, (sha256, _, extension) in names
            ]

    def stored(self) -> Iterator[Stored]:
        """Every file, in no order."""
        for page in self.pages():
            yield from page

    def signed_url(self, sha256: str, extension: str, seconds: float) -> str | None:
        """An address that opens the file for a while; None where the gateway serves it itself."""
        if not isinstance(self.store, S3Store):
            return None
        path, lasts = path_of(sha256, extension), timedelta(seconds=seconds)
        return obstore.sign(self.store, "GET", path, lasts)


def path_of(sha256: str, extension: str) -> str:
    """Where a file lies below the store's root."""
    return f"{PREFIX}/{sha256[:2]}/{sha256}.{extension}"


def open_objects(url: str, **options: Any) -> Objects:
    """`file:///folder` or `s3://bucket/prefix`.

    S3's endpoint, region and keys come from AWS_... in the environment, or in `options`, obstore's.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(parents=True, exist_ok=True)
        return Objects(LocalStore(folder))
    if parts.scheme == "s3":
        return Objects(S3Store.from_url(url, **(PATIENCE | options)))
    raise InvalidRequest("objects_url", f"is {parts.scheme}:...; use file: or s3:")


def _settle(file: Path) -> None:
    """Make the file outlive a power cut."""
    for place, mode in ((file, os.O_RDONLY), (file.parent, os.O_RDONLY | os.O_DIRECTORY)):
        handle = os.open(place, mode)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _translated(error: Exception) -> StorageFull | StorageUnavailable:
    words = str(error)
    if "os error 28" in words or "os error 122" in words or "QuotaExceeded" in words:
        return StorageFull("objects", "no room for another file")
    first = words.partition("\n")[0]
    return StorageUnavailable("objects", f"cannot be reached: {first}")
