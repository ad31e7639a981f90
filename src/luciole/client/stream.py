"""Server-sent events, line by line (the WHATWG's event stream)."""

import json
from typing import Any

from luciole.client.records import Event


class Lines:
    """Gathers lines to events, and remembers the last id for coming again."""

    def __init__(self, since: int | None) -> None:
        self.last = since
        self._fields: dict[str, str] = {}

    @property
    def query(self) -> dict[str, str | int]:
        """Where to go on."""
        return {} if self.last is None else {"since": self.last}

    def take(self, line: str) -> Event | None:
        """An event, once its last line has come."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        data: dict[str, Any] = json.loads(fields["data"])
        seq = int(fields["id"]) if "id" in fields else None
        if seq is not None:
            self.last = seq
        elif self.last is None:
            self.last = data.get("seq")
        return Event(seq=seq, type=fields.get("event", "message"), data=data)
