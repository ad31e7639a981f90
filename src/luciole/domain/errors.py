"""Errors that name the field or file at fault and say what to do."""

from typing import ClassVar


class LucioleError(Exception):
    """What every deliberate failure of Luciole is; `code` is stable and meant for machines."""

    code: ClassVar[str] = "internal"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class InvalidRequest(LucioleError):
    """The caller asked for something that cannot be; nothing was started."""

    code = "invalid_request"


class BundleError(LucioleError):
    """An exported model is incomplete, altered or of another version; `field` is the file."""

    code = "corrupt_bundle"


class EngineError(LucioleError):
    """The engine could not be reached or failed; trying again may help."""

    code = "backend_unavailable"


class EngineBadOutput(EngineError):
    """The engine answered, but with NaN or a wrong shape."""

    code = "bad_output"


class Busy(LucioleError):
    """Accepted work is at its limit; try again after `retry_after` seconds."""

    code = "busy"

    def __init__(self, field: str, message: str, retry_after: float = 2.0) -> None:
        super().__init__(field, f"{message}; try again in {retry_after:g} s")
        self.retry_after = retry_after


class Cancelled(LucioleError):
    """The caller has gone; nothing more is done for it."""

    code = "cancelled"


class DeadlineExceeded(LucioleError):
    """The time that the caller gave was over before the work was."""

    code = "deadline_exceeded"
