"""Addresses of other people's servers: ours shall not be sent to fetch what is inside."""

import ipaddress
import socket
from urllib.parse import urlsplit

from luciole.domain import InvalidRequest

LONGEST = 2000


def check_destination(url: str, inside: bool) -> None:
    """InvalidRequest unless it is https and every address of its host is public.

    The sender looks again and connects to what it looked at: names may change their minds.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise InvalidRequest("url", "cannot be read") from None
    if parts.scheme not in ({"https", "http"} if inside else {"https"}):
        raise InvalidRequest("url", "must begin with https://")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidRequest("url", "must hold no password and no fragment")
    if not parts.hostname or len(url) > LONGEST or not url.isascii() or not url.isprintable():
        raise InvalidRequest("url", "must name a host, in ASCII")
    if not inside:
        _check_outside(parts.hostname, port)


def _check_outside(host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise InvalidRequest("url", "its host has no address") from None
    for entry in found:
        if not ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_global:
            raise InvalidRequest("url", "its host is inside a private network")
