"""The prompt engine: asks expanders for their proposals; whoever asks decides what stays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from luciole.domain import InvalidRequest
from serving.orchestration.prompts.changes import Change, Expander, apply
from serving.orchestration.prompts.reading import Reader
from serving.orchestration.prompts.tree import Prompt
from serving.orchestration.prompts.vocabulary import Untaught, Vocabulary


class Proposal(BaseModel):
    """A change with whether it was taken; `untaught` are its words that the base never saw."""

    model_config = ConfigDict(frozen=True)

    change: Change
    taken: bool
    untaught: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expansion:
    """The expanded prompt, and all that was proposed on the way, refused or not."""

    prompt: Prompt
    proposals: list[Proposal]


class PromptEngine:
    """Expanders by name, a reader and, where somebody wrote it down, what the base was taught."""

    def __init__(
        self, reader: Reader, expanders: Sequence[Expander], vocabulary: Vocabulary | None
    ) -> None:
        self.reader, self.vocabulary = reader, vocabulary
        self.expanders = {one.name: one for one in expanders}

    def chosen(self, names: Sequence[str]) -> list[Expander]:
        """The expanders of these names; InvalidRequest for one that is not here."""
        for name in names:
            if name not in self.expanders:
                there = ", ".join(self.expanders)
                raise InvalidRequest("expanders", f"{name!r} is not here; there are {there}")
        return [self.expanders[name] for name in names]

    def expand(
        self,
        prompt: Prompt,
        expanders: Sequence[Expander],
        seed: int = 0,
        refused: Collection[str] = (),
        taught_only: bool = False,
    ) -> Expansion:
        """Ask the expanders in their order; each sees what the ones before it left.

        `refused` are ids of changes; with `taught_only`, what holds words that the base was never
        taught is refused too. InvalidRequest names an id that nobody here can propose.
        """
        for name in refused:
            if not any(one.may_propose(name) for one in expanders):
                raise InvalidRequest("refuse", f"nobody who was asked proposes {name!r}")
        proposals: list[Proposal] = []
        for expander in expanders:
            seen = [
                self._judged(change, refused, taught_only)
                for change in expander.changes(prompt, seed)
            ]
            prompt = apply(prompt, [one.change for one in seen if one.taken], expander.order)
            proposals += seen
        return Expansion(prompt, proposals)

    def untaught(self, prompt: Prompt, besides: Collection[str] = ()) -> list[Untaught] | None:
        """None where nobody wrote down what the base was taught."""
        return None if self.vocabulary is None else self.vocabulary.untaught(prompt, besides)

    def _judged(self, change: Change, refused: Collection[str], taught_only: bool) -> Proposal:
        strange = () if self.vocabulary is None else tuple(self.vocabulary.missing(change.text))
        taken = change.id not in refused and not (taught_only and strange)
        return Proposal(change=change, taken=taken, untaught=strange)
