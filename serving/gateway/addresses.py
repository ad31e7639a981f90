"""How callers reach what answers speak of."""

from starlette.requests import HTTPConnection


class Addresses:
    """Absolute addresses, under the public one if there is one."""

    def __init__(self, public: str | None) -> None:
        self._public = public

    def of(self, connection: HTTPConnection, path: str) -> str:
        """Of a path that begins with a slash."""
        base = self._public or str(connection.base_url)
        return base.rstrip("/") + path
