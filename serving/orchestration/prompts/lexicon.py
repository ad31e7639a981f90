"""Which words speak of what, and where one phrase of a sentence ends and the next begins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict

from serving.orchestration.prompts.tree import Slot

_SEGMENT = re.compile(r"(?:[^,;.\n]|\.(?=\S))+")
_WORD = re.compile(r"\S+")
_EDGES = "\"'()[]{}!?:*"


class Lexicon(BaseModel):
    """The words of lexicon.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slots: dict[Slot, tuple[str, ...]]
    breakers: dict[str, Slot]
    functions: frozenset[str]
    things_in_ing: frozenset[str]

    @classmethod
    def shipped(cls) -> Self:
        """The one beside this module."""
        text = Path(__file__).with_name("lexicon.yaml").read_text(encoding="utf-8")
        return cls.model_validate(yaml.safe_load(text))

    @cached_property
    def known(self) -> dict[tuple[str, ...], Slot]:
        """The slot of every entry, by its words."""
        return {tuple(entry.split()): slot for slot, some in self.slots.items() for entry in some}

    @cached_property
    def longest(self) -> int:
        """Words in the longest entry."""
        return max(len(entry) for entry in (*self.known, *(b.split() for b in self.breakers)))


@dataclass(frozen=True)
class Span:
    """A phrase's place in a text, from its first to its last letter."""

    start: int
    end: int
    slot: Slot


@dataclass(frozen=True)
class _Unit:
    """A word, or several that are one entry."""

    start: int
    end: int
    text: str
    slot: Slot | None
    breaks: Slot | None

    def small(self, lexicon: Lexicon) -> bool:
        return self.breaks is not None or self.text in lexicon.functions

    def acts(self, lexicon: Lexicon) -> bool:
        word = self.text.partition(" ")[0]
        doing = word.endswith("ing") and len(word) > 4 and word not in lexicon.things_in_ing
        return self.slot == Slot.ACTION or (self.slot is None and self.breaks is None and doing)


def spans(text: str, lexicon: Lexicon) -> list[Span]:
    """The phrases of a text, in order; what lies between them are commas, stops and spaces."""
    found: list[Span] = []
    for segment in _SEGMENT.finditer(text):
        units = list(_units(text, segment.start(), segment.end(), lexicon))
        for phrase in _phrases(units, lexicon):
            slot = _slot(phrase, lexicon, found)
            found.append(Span(phrase[0].start, phrase[-1].end, slot))
    return found


def _units(text: str, start: int, end: int, lexicon: Lexicon) -> Iterator[_Unit]:
    words = list(_WORD.finditer(text, start, end))
    bare = [word.group().strip(_EDGES).casefold() for word in words]
    at = 0
    while at < len(words):
        size = next(
            (n for n in range(lexicon.longest, 1, -1) if _entry(bare[at : at + n], lexicon)), 1
        )
        size = min(size, len(words) - at)
        entry = tuple(bare[at : at + size])
        joined = " ".join(entry)
        last = words[at + size - 1].end()
        slot, breaks = lexicon.known.get(entry), lexicon.breakers.get(joined)
        yield _Unit(words[at].start(), last, joined, slot, breaks)
        at += size


def _entry(words: list[str], lexicon: Lexicon) -> bool:
    return tuple(words) in lexicon.known or " ".join(words) in lexicon.breakers


def _phrases(units: list[_Unit], lexicon: Lexicon) -> Iterator[list[_Unit]]:
    phrase: list[_Unit] = []
    for unit in units:
        head = _head(phrase, lexicon)
        if any(not one.small(lexicon) for one in phrase) and _begins(unit, lexicon):
            yield phrase
            phrase = [unit]
        elif head is not None and _parts(phrase[head], unit, lexicon):
            # Words after the head that nobody knows belong to what comes next: "girl, red | hair".
            yield phrase[: head + 1]
            phrase = [*phrase[head + 1 :], unit]
        else:
            phrase.append(unit)
    if phrase:
        yield phrase


def _parts(head: _Unit, unit: _Unit, lexicon: Lexicon) -> bool:
    """Whether a unit speaks of something else; what is acted upon belongs to the action."""
    acted_upon = head.acts(lexicon) and unit.slot in (Slot.SUBJECT, Slot.ATTRIBUTES)
    return unit.slot not in (None, head.slot) and not acted_upon


def _begins(unit: _Unit, lexicon: Lexicon) -> bool:
    return unit.breaks is not None or unit.acts(lexicon)


def _head(phrase: list[_Unit], lexicon: Lexicon) -> int | None:
    """The last unit whose slot is known, or that does something."""
    heads = [i for i, one in enumerate(phrase) if one.slot is not None or one.acts(lexicon)]
    return heads[-1] if heads else None


def _slot(phrase: list[_Unit], lexicon: Lexicon, found: list[Span]) -> Slot:
    if any(one.acts(lexicon) for one in phrase):
        someone = any(one.slot == Slot.SUBJECT for one in phrase)
        nobody_yet = all(span.slot != Slot.SUBJECT for span in found)
        return Slot.SUBJECT if someone and nobody_yet else Slot.ACTION
    head = _head(phrase, lexicon)
    if head is not None:
        return phrase[head].slot or Slot.OTHER
    told = [one.breaks for one in phrase if one.breaks not in (None, Slot.OTHER)]
    if told:
        return told[-1] or Slot.OTHER
    return Slot.OTHER if found else Slot.SUBJECT
