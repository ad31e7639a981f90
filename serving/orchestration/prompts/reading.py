"""Text into a tree of phrases, and back."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from luciole.domain import Emphasis, InvalidRequest
from serving.orchestration.prompts import a1111, compel
from serving.orchestration.prompts.choices import Draw, Lists, insert
from serving.orchestration.prompts.choices import read as read_choices
from serving.orchestration.prompts.lexicon import Lexicon, spans
from serving.orchestration.prompts.tree import (
    Glyph,
    Phrase,
    Prompt,
    Side,
    StyleToken,
    pieces,
    plain,
    typed,
)

_COMPEL = re.compile(r"(?<=[\w)])(?:\+\+?|--)(?=$|[\s,.;:!?)])|\)(?:\d|\.\d|[+-])")
_A1111 = re.compile(r":\s*[+-]?[\d.]+\s*\)|<lora:|\[|\(\(")


class Syntax(StrEnum):
    """How weights are written; `auto` looks which of the two it is, `plain` is neither."""

    AUTO = "auto"
    A1111 = "a1111"
    COMPEL = "compel"
    PLAIN = "plain"


@dataclass(frozen=True)
class Template:
    """A text with `{prompt}` in it, by name."""

    name: str
    text: str


class Reader:
    """Reads prompts with one lexicon and one set of wildcard lists."""

    def __init__(self, lexicon: Lexicon, lists: Lists) -> None:
        self._lexicon, self._lists = lexicon, lists

    def read(
        self,
        wanted: str,
        unwanted: str = "",
        syntax: Syntax = Syntax.AUTO,
        seed: int = 0,
        template: Template | None = None,
    ) -> Prompt:
        """The tree of both sides; InvalidRequest says what cannot be read.

        `seed` decides what wildcards become. A template goes around what is wanted.
        """
        if syntax == Syntax.AUTO:
            syntax = detected(f"{wanted}\n{unwanted}")
        drawn = self._drawn(wanted, seed)
        if template is not None:
            drawn = insert(template.text, template.name, drawn)
        side, styles = self._side(drawn, syntax)
        negatives, unwelcome = self._side(self._drawn(unwanted, seed), syntax)
        if unwelcome:
            words = f"asks for the style {unwelcome[0].name!r}; a style cannot be unwanted"
            raise InvalidRequest("negative_prompt", words)
        return Prompt(wanted=side, negatives=negatives, styles=tuple(styles))

    def _drawn(self, text: str, seed: int) -> list[Glyph]:
        return Draw(self._lists, seed)(read_choices(typed(text)))

    def _side(self, glyphs: Sequence[Glyph], syntax: Syntax) -> tuple[Side, list[StyleToken]]:
        styles: list[StyleToken] = []
        if syntax == Syntax.A1111:
            glyphs, styles = a1111.read(glyphs)
        elif syntax == Syntax.COMPEL:
            glyphs = compel.read(glyphs)
        return self.side(glyphs), styles

    def side(self, glyphs: Sequence[Glyph]) -> Side:
        """The phrases of weighed characters."""
        text, at = plain(glyphs), 0
        phrases = []
        for span in spans(text, self._lexicon):
            spoken = tuple(pieces(glyphs[span.start : span.end]))
            phrases.append(Phrase(slot=span.slot, pieces=spoken, before=text[at : span.start]))
            at = span.end
        return Side(phrases=tuple(phrases), after=text[at:])


def detected(text: str) -> Syntax:
    """Which of both ways a text is written in; InvalidRequest where it mixes them."""
    theirs, ours = _COMPEL.search(text), _A1111.search(text)
    if theirs and ours:
        words = f"mixes {ours.group()!r} (A1111) and {theirs.group()!r} (compel); say which it is"
        raise InvalidRequest("syntax", words)
    return Syntax.COMPEL if theirs else Syntax.A1111


def write(side: Side, syntax: Syntax, styles: Iterable[StyleToken] = ()) -> str:
    """The text of a side in one syntax.

    InvalidRequest where the syntax cannot say it: compel knows no styles, `plain` no weights.
    """
    weighed, styles = list(_weighed(side)), list(styles)
    if syntax in (Syntax.A1111, Syntax.AUTO):
        return a1111.write(weighed, styles)
    if styles:
        raise InvalidRequest("syntax", f"{syntax} cannot name the style {styles[0].name!r}")
    if syntax == Syntax.COMPEL:
        return compel.write(weighed)
    loud = next((text for text, weight in weighed if weight != 1), None)
    if loud is not None:
        raise InvalidRequest("syntax", f"plain cannot say how loud {loud!r} is; take a1111")
    return side.text


def emphasis(side: Side, negative: bool = False) -> list[Emphasis]:
    """The weights of a side as a plan takes them beside the side's plain text."""
    found, at = [], 0
    for phrase in side.phrases:
        at += len(phrase.before)
        for piece in phrase.pieces:
            end = at + len(piece.text)
            if piece.weight != 1 and piece.text:
                told = Emphasis(start=at, end=end, weight=piece.weight, negative=negative)
                found.append(told)
            at = end
    return found


def _weighed(side: Side) -> Iterator[tuple[str, float]]:
    """Texts with weights; what lies between two of the same weight joins them."""
    runs: list[tuple[str, float]] = []
    for phrase in side.phrases:
        for i, piece in enumerate(phrase.pieces):
            before = phrase.before if i == 0 else ""
            if runs and runs[-1][1] == piece.weight:
                runs[-1] = (runs[-1][0] + before + piece.text, piece.weight)
            else:
                runs += [(before, 1.0)] if before else []
                runs.append((piece.text, piece.weight))
    yield from _joined([*runs, (side.after, 1.0)])


def _joined(runs: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    text, weight = "", 1.0
    for more, its in runs:
        if its == weight:
            text += more
            continue
        if text:
            yield text, weight
        text, weight = more, its
    if text:
        yield text, weight
