"""The latest pictures, kept in memory for those who asked for a URL instead of bytes."""

import hashlib
from collections import OrderedDict

from serving.gateway.encoding import PictureFormat


class RecentPictures:
    """Named by what they hold; the oldest make room for new ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._files: OrderedDict[str, bytes] = OrderedDict()

    def keep(self, file: bytes, form: PictureFormat) -> str:
        """Keep a file and return its name."""
        name = f"{hashlib.sha256(file).hexdigest()}.{form}"
        self._files[name] = file
        self._files.move_to_end(name)
        while len(self._files) > self._most:
            self._files.popitem(last=False)
        return name

    def file(self, name: str) -> bytes | None:
        """Return the bytes, None when they were never here or had to make room."""
        return self._files.get(name)
