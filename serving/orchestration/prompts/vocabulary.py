"""Words that a base model was never taught, and what it knows that comes nearest."""

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from luciole.bundle import Bundle
from luciole.domain import BundleError
from serving.orchestration.prompts.tree import Kind, Origin, Piece, Prompt, Side

FILE = "vocabulary.yaml"
"""Its name within a bundle that brings its own."""
SHIPPED = Path(__file__).with_name("vocabularies")
_WORD = re.compile(r"\w(?:[\w'-]*\w)?")
_ENDINGS = ("ing", "ed", "es", "s", "y", "ly", "er")
_ALIKE = 0.75


class Why(StrEnum):
    """How the nearest words were found."""

    MEANING = "meaning"
    FORM = "form"
    SPELLING = "spelling"


class Untaught(BaseModel):
    """Words that the base never saw; `start` and `end` are offsets in what was typed, if it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    unwanted: bool = False
    """Whether they stand in the negative prompt."""
    nearest: str | None = None
    why: Why | None = None
    origin: Origin = Origin()
    phrase: int
    at: int
    """Offset within the phrase."""


class Vocabulary(BaseModel):
    """All words of a base model's captions, and its neighbours of others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    words: frozenset[str]
    colours: dict[str, tuple[str, ...]] = {}
    near: dict[str, tuple[str, ...]] = {}

    @classmethod
    def read(cls, file: Path) -> Self:
        """From YAML; BundleError names a file that is none."""
        try:
            return cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (yaml.YAMLError, ValidationError) as error:
            raise BundleError(file.name, f"is not a vocabulary: {error}") from error

    @classmethod
    def of(cls, bundle: Bundle) -> Self | None:
        """The bundle's own, else the shipped one of its name; None: nobody wrote it down."""
        if FILE in bundle.manifest.files:
            return cls.read(bundle.file(FILE))
        shipped = SHIPPED / f"{bundle.manifest.name}.yaml"
        return cls.read(shipped) if shipped.is_file() else None

    def untaught(self, prompt: Prompt, besides: Collection[str] = ()) -> list[Untaught]:
        """Of both sides, in order; words in `besides`, such as triggers, are known too."""
        known = self.words | {word for text in besides for word in _words(text)}
        return [
            *self._side(prompt.wanted, known, unwanted=False),
            *self._side(prompt.negatives, known, unwanted=True),
        ]

    def missing(self, text: str) -> list[str]:
        """The words of a text that were never taught."""
        return [word for word in _words(text) if word not in self.words]

    def nearest(self, words: str) -> tuple[str | None, Why | None]:
        """What it knows that means the same, is another form of it, or is spelled alike."""
        if words in self._meanings:
            return self._meanings[words], Why.MEANING
        if form := next((word for word in sorted(self.words) if _same_stem(word, words)), None):
            return form, Why.FORM
        alike = get_close_matches(words, sorted(self.words | self._meanings.keys()), 1, _ALIKE)
        if not alike:
            return None, None
        return self._meanings.get(alike[0], alike[0]), Why.SPELLING

    @cached_property
    def _meanings(self) -> dict[str, str]:
        return {word: known for known, words in self.near.items() for word in words}

    @cached_property
    def _every_colour(self) -> frozenset[str]:
        shades = (words[: -len(" hair")] for words in self._meanings if words.endswith(" hair"))
        return frozenset(c for some in self.colours.values() for c in some) | frozenset(shades)

    def _side(self, side: Side, known: frozenset[str], unwanted: bool) -> Iterator[Untaught]:
        for at, phrase in enumerate(side.phrases):
            for start, end in self._strange(phrase.text.casefold(), known):
                text = phrase.text[start:end]
                nearest, why = self.nearest(text.casefold())
                yield Untaught(
                    text=text,
                    unwanted=unwanted,
                    nearest=nearest,
                    why=why,
                    origin=_origin(phrase.pieces, start, end),
                    phrase=at,
                    at=start,
                )

    def _strange(self, text: str, known: frozenset[str]) -> Iterator[tuple[int, int]]:
        """Where unknown words stand; several together where the neighbour is of all of them."""
        words = list(_WORD.finditer(text))
        at = 0
        while at < len(words):
            start, end = words[at].span()
            beyond = words[at + 1].end() if at + 1 < len(words) else end
            pair = text[start:beyond]
            strange = [word for word in _words(pair) if word not in known]
            if self._off_colour(pair) or (strange and pair in self._meanings):
                yield start, beyond
                at += 2 if beyond != end else 1
                continue
            if text[start:end] not in known:
                yield start, end
            at += 1

    def _off_colour(self, pair: str) -> bool:
        """Whether it knows the colour and the thing, and never saw the thing in that colour."""
        colour, _, thing = pair.partition(" ")
        return colour in self._every_colour and colour not in self.colours.get(thing, (colour,))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _same_stem(known: str, word: str) -> bool:
    return len(known) > 3 and bool(_stems(known) & _stems(word))


def _stems(word: str) -> set[str]:
    """What is left of a word without an ending; a doubled letter before it is one letter."""
    cut = {word.removesuffix(end) for end in _ENDINGS if len(word) - len(end) > 2}
    once = {stem[:-1] for stem in cut if len(stem) > 3 and stem[-1] == stem[-2]}
    return {word} | cut | once | {stem.removesuffix("e") for stem in cut | {word} if len(stem) > 3}


def _origin(pieces: Collection[Piece], start: int, end: int) -> Origin:
    """Of some letters of a phrase; to the letter where they were typed."""
    at = 0
    for piece in pieces:
        within = start - at
        at += len(piece.text)
        if start < at:
            origin = piece.origin
            if origin.kind != Kind.TYPED or origin.start is None or origin.end is None:
                return origin
            first = origin.start + within
            last = min(first + end - start, origin.end)
            return origin.model_copy(update={"start": first, "end": last})
    return Origin()
