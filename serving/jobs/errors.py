"""What the keeper of jobs refuses."""

from luciole.domain import LucioleError


class JobNotFound(LucioleError):
    """This tenant has no such job."""

    code = "not_found"


class KeyReused(LucioleError):
    """The same idempotency key came with another body."""

    code = "idempotency_key_reused"


class Fenced(LucioleError):
    """This worker's lease was given up while it was away; nothing that it writes counts."""

    code = "fenced"


class CharacterInUse(LucioleError):
    """A build that has not ended draws the character."""

    code = "conflict"
