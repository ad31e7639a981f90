"""What the service refuses, beside what the engines cannot do."""

from luciole.domain import LucioleError


class Unauthenticated(LucioleError):
    """Nobody known is asking."""

    code = "unauthenticated"


class Forbidden(LucioleError):
    """Who asks is known and may not do this."""

    code = "forbidden"


class NotFound(LucioleError):
    """There is no such thing, or it is another tenant's, which is the same to the caller."""

    code = "not_found"


class Conflict(LucioleError):
    """It cannot be done in the present state."""

    code = "conflict"


class TooLarge(LucioleError):
    """More bytes or pixels than are taken."""

    code = "too_large"


class Unprocessable(LucioleError):
    """The request is well formed, and what it holds is not."""

    code = "unprocessable"


class RateLimited(LucioleError):
    """Too much at a time; `retry_after` in seconds."""

    code = "rate_limited"

    def __init__(self, field: str, message: str, retry_after: float) -> None:
        super().__init__(field, message)
        self.retry_after = retry_after


class QuotaExceeded(RateLimited):
    """What was agreed for the month is used up."""

    code = "quota_exceeded"
