"""How callers reach what answers speak of."""

from starlette.requests import HTTPConnection


class Addresses:
    """Absolute addresses, under the public one if there is one."""

    def __init__(self, public: str | None) -> None:
        self._public = public

    def of(self, connection: HTTPConnection, path: str) -> str:
        """Of a path that begins with a slash."""
        url = connection.url
        base = self._public or f"{url.scheme}://{url.netloc}"
        return base.rstrip("/") + path
