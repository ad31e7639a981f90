"""What is drawn by chance in a prompt: `__wildcards__`, `{one|of|these}`, `{2$$of|these|three}`.

The same seed draws the same words, on every machine and version.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from luciole.domain import InvalidRequest
from luciole.domain.request import MAX_PROMPT_CHARACTERS
from serving.orchestration.prompts.tree import Glyph, Kind, plain

DEEPEST = 12
"""Lists within lists."""
Lists = Mapping[str, Sequence[str]]
"""What a wildcard may become, by its name."""
_TOKEN = re.compile(
    r"""\\(?P<escaped>[{}|_$:])
    | (?P<pair>\\.)
    | (?P<template>\{prompt\})
    | __(?P<name>[A-Za-z0-9][A-Za-z0-9/-]*(?:_[A-Za-z0-9/-]+)*)__
    | (?P<open>\{(?:(?P<least>\d{1,2})(?:-(?P<most>\d{1,2}))?\$\$(?:(?P<joiner>[^{}|$\\]*)\$\$)?)?)
    | (?P<bar>\|)
    | (?P<close>\})""",
    re.VERBOSE | re.DOTALL,
)
_SHARE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})::")


@dataclass(frozen=True)
class Text:
    """Plain characters."""

    glyphs: tuple[Glyph, ...]


@dataclass(frozen=True)
class Wildcard:
    """One line of a list."""

    name: str
    place: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Option:
    """A way to go, taken as often as its share of all shares says."""

    parts: "Template"
    share: float = 1.0


@dataclass(frozen=True)
class Choice:
    """From `least` to `most` different options with `joiner` in between."""

    options: tuple[Option, ...]
    least: int = 1
    most: int = 1
    joiner: str = ", "


Part = Text | Wildcard | Choice
Template = tuple[Part, ...]


def read(glyphs: Sequence[Glyph]) -> Template:
    """The parts of a text. A brace that no other closes, or without a `|`, is a character."""
    return _Reader(glyphs).parts()


class _Reader:
    """Where reading has got to; braces inside braces call it again."""

    def __init__(self, glyphs: Sequence[Glyph]) -> None:
        self._glyphs, self._text = glyphs, plain(glyphs)
        self._marks = _marks(self._text)
        self._at = 0

    def parts(self) -> Template:
        parts: list[Part] = []
        while self._at < len(self._text):
            token = _TOKEN.search(self._text, self._at)
            end = len(self._text) if token is None else token.start()
            parts += _text(self._glyphs[self._at : end])
            self._at = end
            if token is None or (end in self._marks and self._text[end] in "|}"):
                break
            parts += self._part(token)
        return _merged(parts)

    def _part(self, token: re.Match[str]) -> list[Part]:
        if token["open"] and token.start() in self._marks:
            return [self._choice(token)]
        self._at = token.start() + 1 if token["open"] else token.end()
        if token["escaped"]:
            return _text(self._glyphs[token.end() - 1 : token.end()])
        if token["name"]:
            return [Wildcard(token["name"], self._glyphs[token.start()].place)]
        return _text(self._glyphs[token.start() : self._at])

    def _choice(self, token: re.Match[str]) -> Choice:
        self._at = token.end()
        options = [self._option()]
        while self._text[self._at] == "|":
            self._at += 1
            options.append(self._option())
        self._at += 1
        least = int(token["least"] or 1)
        most = int(token["most"] or least)
        if not 0 <= least <= most <= len(options):
            words = f"{token.group()!r} cannot be drawn from {len(options)} options"
            raise InvalidRequest("prompt", words)
        joiner = ", " if token["joiner"] is None else token["joiner"]
        return Choice(tuple(options), least, most, joiner)

    def _option(self) -> Option:
        told = _SHARE.match(self._text, self._at)
        if told is None:
            return Option(self.parts())
        self._at = told.end()
        return Option(self.parts(), float(told[1]))


def _marks(text: str) -> set[int]:
    """Where the braces and bars are that make choices; all others are characters."""
    marks: set[int] = set()
    opened: list[tuple[list[int], bool]] = []
    for token in _TOKEN.finditer(text):
        if token["open"]:
            opened.append(([token.start()], token["least"] is not None))
        elif token["bar"] and opened:
            opened[-1][0].append(token.start())
        elif token["close"] and opened:
            places, counted = opened.pop()
            if counted or len(places) > 1:
                if len(opened) >= DEEPEST:
                    raise InvalidRequest("prompt", f"has braces deeper than {DEEPEST}")
                marks.update((*places, token.start()))
    return marks


def write(template: Template) -> str:
    """As `read` takes it."""
    return "".join(_written(part) for part in template)


def _written(part: Part) -> str:
    match part:
        case Text():
            return re.sub(r"\\.|[{}|$]|_(?=_)|(?<=_)_|:(?=:)", _escape, plain(part.glyphs))
        case Wildcard():
            return f"__{part.name}__"
        case Choice():
            options = "|".join(_share(one.share) + write(one.parts) for one in part.options)
            plainly = (part.least, part.most, part.joiner) == (1, 1, ", ") and len(part.options) > 1
            head = "" if plainly else f"{part.least}-{part.most}$${part.joiner}$$"
            return f"{{{head}{options}}}"


def _share(share: float) -> str:
    return "" if share == 1 else f"{share:.6f}".rstrip("0").rstrip(".") + "::"


def _escape(found: re.Match[str]) -> str:
    return found.group() if len(found.group()) == 2 else f"\\{found.group()}"


class Draw:
    """Makes the choices of one seed; every place in a prompt has chance of its own."""

    def __init__(self, lists: Lists, seed: int) -> None:
        self._lists, self._seed = lists, seed
        self._drawn = 0
        self._room = MAX_PROMPT_CHARACTERS

    def __call__(self, template: Template, depth: int = 0) -> list[Glyph]:
        """The words; InvalidRequest for an unknown list, one that holds itself, or too much."""
        return [glyph for part in template for glyph in self._one(part, depth)]

    def _one(self, part: Part, depth: int) -> list[Glyph]:
        match part:
            case Text():
                return self._counted(part.glyphs)
            case Wildcard():
                return self._line(part, depth)
            case Choice():
                return self._options(part, depth)

    def _counted(self, glyphs: Sequence[Glyph]) -> list[Glyph]:
        self._room -= len(glyphs)
        if self._room < 0:
            most = f"more than {MAX_PROMPT_CHARACTERS} characters"
            raise InvalidRequest("prompt", f"becomes {most} with its wildcards")
        return list(glyphs)

    def _line(self, wildcard: Wildcard, depth: int) -> list[Glyph]:
        if depth == DEEPEST:
            raise InvalidRequest(
                "prompt", f"__{wildcard.name}__ leads through more than {DEEPEST} lists"
            )
        lines = self._lists.get(wildcard.name)
        if not lines:
            there = ", ".join(sorted(self._lists)) or "none"
            raise InvalidRequest(
                "prompt", f"there is no list __{wildcard.name}__; there are {there}"
            )
        line = lines[int(self._chance() * len(lines))]
        glyphs = [Glyph(char, wildcard.place, Kind.WILDCARD, wildcard.name) for char in line]
        # Whatever lists a line leads to: it is the outermost that somebody typed.
        return [g._replace(name=wildcard.name) for g in self(read(glyphs), depth + 1)]

    def _options(self, choice: Choice, depth: int) -> list[Glyph]:
        left = list(choice.options)
        count = choice.least + int(self._chance() * (choice.most - choice.least + 1))
        drawn: list[Glyph] = []
        for i in range(count):
            option = left.pop(self._pick([one.share for one in left]))
            glyphs = self(option.parts, depth)
            if i and drawn:
                near = drawn[-1]
                drawn += self._counted([near._replace(char=char) for char in choice.joiner])
            drawn += glyphs
        return drawn

    def _pick(self, shares: Sequence[float]) -> int:
        point = self._chance() * sum(shares)
        for i, share in enumerate(shares):
            point -= share
            if point < 0:
                return i
        return len(shares) - 1

    def _chance(self) -> float:
        self._drawn += 1
        return chance(self._seed, f"choice-{self._drawn}")


def chance(seed: int, name: str) -> float:
    """A number from 0 up to 1 that depends on nothing else."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def insert(template: str, name: str, glyphs: Sequence[Glyph]) -> list[Glyph]:
    """A style's template around a prompt; its `{prompt}` is where the prompt goes.

    InvalidRequest unless there is exactly one.
    """
    parts = template.split("{prompt}")
    if len(parts) != 2:
        raise InvalidRequest("template", "must hold {prompt} once, where the words go")
    before, after = ([Glyph(c, None, Kind.TEMPLATE, name) for c in part] for part in parts)
    return [*before, *glyphs, *after]


def _text(glyphs: Sequence[Glyph]) -> list[Part]:
    return [Text(tuple(glyphs))] if glyphs else []


def _merged(parts: Sequence[Part]) -> Template:
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, Text) and isinstance(last, Text):
            merged[-1] = replace(last, glyphs=last.glyphs + part.glyphs)
        else:
            merged.append(part)
    return tuple(merged)
