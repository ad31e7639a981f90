"""Who is asking."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from serving.gateway.refusals import Forbidden


class Scope(StrEnum):
    """What a key or token allows."""

    GENERATE = "generate"
    """Draw, and start and cancel jobs."""
    READ = "read"
    """See jobs, assets, events and usage."""
    WRITE = "write"
    """Upload assets, keep webhooks, characters, styles and storyboards."""
    ADMIN = "admin"
    """Make and revoke keys."""


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True)
class Principal:
    """A caller; every query is made for `tenant`."""

    tenant: str
    subject: str
    """The id of a key or user."""
    scopes: frozenset[Scope]
    user: str | None = None

    def need(self, scope: Scope) -> None:
        """Forbidden without it."""
        if scope not in self.scopes:
            raise Forbidden("authorization", f"the scope {scope.value!r} is needed")


def known_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Those of the words that name a scope of ours; a provider's tokens carry others too."""
    ours = {scope.value for scope in Scope}
    return frozenset(Scope(word) for word in words if word in ours)
