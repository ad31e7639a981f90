"""What is proposed for a prompt: a list of changes, each with a name, none of them a must."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from serving.orchestration.prompts.tree import Origin, Phrase, Piece, Prompt, Side, Slot, Weight


class Change(BaseModel):
    """One change, refused by its `id`.

    With a `phrase`, letters `start` to `end` of that phrase become `text`; otherwise `text` is one
    phrase more. Places count in the prompt for which the change was proposed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    slot: Slot
    unwanted: bool = False
    """Whether it is for the negative prompt."""
    weight: Weight = 1.0
    why: str = ""
    origin: Origin
    phrase: int | None = None
    start: int = 0
    end: int = 0
    was: str = ""
    """The words that it replaces."""


class Expander(Protocol):
    """Proposes a difference, never a new prompt."""

    @property
    def name(self) -> str:
        """The first part of its changes' ids."""
        ...

    @property
    def order(self) -> tuple[Slot, ...] | None:
        """How phrases are to stand where any change is taken; None: as they do."""
        ...

    def may_propose(self, change: str) -> bool:
        """Whether a change of this id can come from here."""
        ...

    def changes(self, prompt: Prompt, seed: int) -> list[Change]:
        """The same for the same prompt and seed."""
        ...


def apply(prompt: Prompt, changes: Sequence[Change], order: Sequence[Slot] | None) -> Prompt:
    """The prompt with all of these changes; without any it stays as it was typed.

    With an `order` phrases are sorted by it, with commas between.
    """
    if not changes:
        return prompt
    wanted = _side(prompt.wanted, [c for c in changes if not c.unwanted], order)
    negatives = _side(prompt.negatives, [c for c in changes if c.unwanted], None)
    return prompt.model_copy(update={"wanted": wanted, "negatives": negatives})


def _side(side: Side, changes: Sequence[Change], order: Sequence[Slot] | None) -> Side:
    if not changes:
        return side
    phrases = list(side.phrases)
    replacing = [change for change in changes if change.phrase is not None]
    for change in sorted(replacing, key=lambda c: c.start, reverse=True):
        at = change.phrase or 0
        phrases[at] = _replaced(phrases[at], change)
    phrases += [Phrase.of(c.text, c.slot, c.origin, c.weight) for c in changes if c.phrase is None]
    if order is not None:
        places = {slot: i for i, slot in enumerate(order)}
        phrases = sorted(phrases, key=lambda phrase: places.get(phrase.slot, len(places)))
        phrases = [phrase.model_copy(update={"before": ", "}) for phrase in phrases]
    if phrases:
        phrases[0] = phrases[0].model_copy(update={"before": ""})
    return Side(phrases=tuple(phrases))


def _replaced(phrase: Phrase, change: Change) -> Phrase:
    """With new words, as loud as the first of the old ones; without any, the old ones are gone."""
    before, inside = _cut(phrase.pieces, change.start)
    old, after = _cut(inside, change.end - change.start)
    new = Piece(text=change.text, weight=old[0].weight, origin=change.origin)
    pieces = (*before, *([new] if change.text else []), *after)
    return phrase.model_copy(update={"pieces": pieces, "slot": change.slot})


def _cut(pieces: Sequence[Piece], at: int) -> tuple[list[Piece], list[Piece]]:
    left: list[Piece] = []
    right: list[Piece] = []
    for piece in pieces:
        head, tail = piece.text[: max(0, at)], piece.text[max(0, at) :]
        at -= len(piece.text)
        left += [piece.model_copy(update={"text": head})] if head else []
        right += [piece.model_copy(update={"text": tail})] if tail else []
    return left, right
