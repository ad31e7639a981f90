"""What can be wrong with what is kept."""

from luciole.domain import LucioleError


class StorageFull(LucioleError):
    """There is no room; nothing was written, and what was accepted goes on when there is."""

    code = "storage_full"


class StorageUnavailable(LucioleError):
    """The database does not answer now; try again after `retry_after` seconds."""

    code = "storage_unavailable"

    def __init__(self, field: str, message: str, retry_after: float = 2.0) -> None:
        super().__init__(field, message)
        self.retry_after = retry_after
