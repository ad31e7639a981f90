"""A prompt as a tree: phrases by what they speak of, how loud, and where each came from."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

MOST_WEIGHT = 10.0
Weight = Annotated[float, Field(ge=-MOST_WEIGHT, le=MOST_WEIGHT, allow_inf_nan=False)]


class Slot(StrEnum):
    """What a phrase speaks of, in the order in which people say it."""

    SUBJECT = "subject"
    ATTRIBUTES = "attributes"
    ACTION = "action"
    SETTING = "setting"
    LIGHTING = "lighting"
    CAMERA = "camera"
    QUALITY = "quality"
    STYLE = "style"
    OTHER = "other"


class Kind(StrEnum):
    """Who put words into a prompt."""

    TYPED = "typed"
    WILDCARD = "wildcard"
    TEMPLATE = "template"
    RULE = "rule"
    MODEL = "model"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Record):
    """Where words came from; `start` and `end` are offsets in the typed text, where there are."""

    kind: Kind = Kind.TYPED
    name: str = ""
    """Of the wildcard, the template, the rule or the model."""
    start: int | None = None
    end: int | None = None


class Piece(_Record):
    """Words of one weight from one place."""

    text: str
    weight: Weight = 1.0
    origin: Origin = Origin()


class Phrase(_Record):
    """A part of a prompt that speaks of one thing; `before` is what separates it from the last."""

    slot: Slot
    pieces: tuple[Piece, ...]
    before: str = ""

    @property
    def text(self) -> str:
        """Its words without weights."""
        return "".join(piece.text for piece in self.pieces)

    @classmethod
    def of(cls, text: str, slot: Slot, origin: Origin, weight: float = 1.0) -> Self:
        """One piece, after a comma."""
        return cls(slot=slot, pieces=(Piece(text=text, weight=weight, origin=origin),), before=", ")


class StyleToken(_Record):
    """A style that the words themselves ask for, as in `<lora:ink:0.8>`."""

    name: str
    weight: Weight = 1.0
    origin: Origin = Origin()


class Side(_Record):
    """What is wanted, or what is not: phrases in their order, and the text after the last."""

    phrases: tuple[Phrase, ...] = ()
    after: str = ""

    @property
    def text(self) -> str:
        """The plain words, without weights."""
        return "".join(phrase.before + phrase.text for phrase in self.phrases) + self.after

    def of(self, slot: Slot) -> tuple[Phrase, ...]:
        """The phrases that speak of this."""
        return tuple(phrase for phrase in self.phrases if phrase.slot == slot)


class Prompt(_Record):
    """Both sides, and the styles that were named among the words."""

    wanted: Side = Side()
    negatives: Side = Side()
    styles: tuple[StyleToken, ...] = ()


class Glyph(NamedTuple):
    """One character on its way into the tree."""

    char: str
    place: int | None = None
    """Its offset in the typed text; that of the wildcard for what a wildcard gave."""
    kind: Kind = Kind.TYPED
    name: str = ""
    weight: float = 1.0


def typed(text: str) -> list[Glyph]:
    """What stands there, character by character."""
    return [Glyph(char, i) for i, char in enumerate(text)]


def plain(glyphs: Iterable[Glyph]) -> str:
    """The characters alone."""
    return "".join(glyph.char for glyph in glyphs)


def pieces(glyphs: Sequence[Glyph]) -> Iterator[Piece]:
    """Runs of one weight and one origin."""
    for (weight, kind, name), run in groupby(glyphs, lambda g: (g.weight, g.kind, g.name)):
        group = list(run)
        places = [glyph.place for glyph in group if glyph.place is not None]
        start, end = (min(places), max(places) + 1) if places else (None, None)
        if start is not None and kind == Kind.WILDCARD:
            end = start + len(f"__{name}__")
        origin = Origin(kind=kind, name=name, start=start, end=end)
        yield Piece(text=plain(group), weight=weight, origin=origin)
