"""Why there is no Triton, as data: the in-process engine then takes over and says so."""

from enum import StrEnum

from luciole.domain import EngineError


class Reason(StrEnum):
    """What stands between this machine and a Triton server."""

    PLATFORM = "platform"
    GLIBC = "glibc"
    INTERPRETER = "interpreter"
    NO_WHEEL = "no_wheel"
    INSTALL_FAILED = "install_failed"
    NOT_SET_UP = "not_set_up"
    DOES_NOT_START = "does_not_start"

    @property
    def permanent(self) -> bool:
        """Whether this machine can never have one, whatever is tried again."""
        return self in {Reason.PLATFORM, Reason.GLIBC, Reason.INTERPRETER, Reason.NO_WHEEL}


class TritonUnavailable(EngineError):
    """Triton cannot be had here; `reason` says which kind of obstacle, `message` the words."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__("triton", message)
        self.reason = reason
