"""Conditional and partial answers over bytes that never change (RFC 9110, 13 and 14)."""

import re

from starlette.datastructures import Headers
from starlette.responses import Response

ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def answer(content: bytes, mime: str, sha256: str, cache: str, asked: Headers) -> Response:
    """All of it, a part of it, or nothing because the caller has it."""
    etag = f'"{sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": cache,
        "Accept-Ranges": "bytes",
        # The bytes are what somebody uploaded: no browser shall take them for a page.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if matches(asked.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    wanted = asked.get("range")
    if wanted is None or asked.get("if-range", etag) != etag:
        return Response(content, media_type=mime, headers=headers)
    span = part(wanted, len(content))
    if span is None:
        return Response(content, media_type=mime, headers=headers)
    if not span:
        headers["Content-Range"] = f"bytes */{len(content)}"
        return Response(status_code=416, headers=headers)
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{len(content)}"
    return Response(content[span.start : span.stop], 206, headers, mime)


def matches(asked: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names this content."""
    if asked is None:
        return False
    names = [name.strip().removeprefix("W/") for name in asked.split(",")]
    return etag in names or "*" in names


def part(wanted: str, size: int) -> range | None:
    """The bytes of one range; empty if there are none such, None for what we do not serve."""
    found = ONE_RANGE.fullmatch(wanted.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        return range(max(0, size - int(last)), size)
    if last != "" and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1 if last else size))
