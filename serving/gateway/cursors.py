"""Pages of lists: a cursor names the last row that was seen, and callers cannot read it."""

import base64
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Path, Query

from luciole.domain import InvalidRequest, LucioleError

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=200, description="Rows of a page")]
PictureName = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


def cursor_of(name: str) -> str:
    """Where the rows after `name` begin."""
    return base64.urlsafe_b64encode(f"1:{name}".encode()).decode().rstrip("=")


async def named_by(cursor: str, find: Callable[[str], Awaitable[T]]) -> T:
    """The row that a cursor names; InvalidRequest if it was not made here for this caller."""
    refused = InvalidRequest("cursor", "is none that this list gave")
    try:
        words = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        raise refused from None
    version, _, name = words.partition(":")
    if version != "1" or not name.isprintable():
        raise refused
    try:
        return await find(name)
    except LucioleError as error:
        if error.code == "not_found":
            raise refused from None
        raise
