"""What the service answers when it does not do what it was asked."""

from luciole.domain import LucioleError


class ApiError(LucioleError):
    """An answer that is no success; `kind` is the service's stable word for it."""

    def __init__(self, field: str, message: str, status: int, kind: str | None) -> None:
        super().__init__(field, message)
        self.status, self.kind = status, kind


class Refused(ApiError):
    """The request cannot be; `field` says where."""


class Unauthenticated(ApiError):
    """The key or token is missing, unknown or over."""


class PermissionDenied(ApiError):
    """The key's scopes do not allow it."""


class NotFound(ApiError):
    """There is no such thing for this tenant."""


class Conflict(ApiError):
    """It cannot be done in the present state, or an idempotency key came with another body."""


class RateLimited(ApiError):
    """Too much for now; `retry_after` in seconds, None where nothing was said."""

    retry_after: float | None = None


class ServiceUnavailable(ApiError):
    """The service or its engine is away or out of room; trying again may help."""


class Unreachable(ApiError):
    """No answer came at all."""

    def __init__(self, message: str) -> None:
        super().__init__("service", message, status=0, kind="unreachable")


KINDS: dict[int, type[ApiError]] = {
    400: Refused,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: Refused,
    422: Refused,
    429: RateLimited,
    502: ServiceUnavailable,
    503: ServiceUnavailable,
    504: ServiceUnavailable,
    507: ServiceUnavailable,
}
