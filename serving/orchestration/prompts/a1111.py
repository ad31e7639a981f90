"""Weights as A1111's web interface writes them: `(rain)` 1.1 times, `[rain]`, `(rain:1.3)`."""

import re
from collections.abc import Iterable, Sequence

from luciole.domain import InvalidRequest
from serving.orchestration.prompts.tree import MOST_WEIGHT, Glyph, Kind, Origin, StyleToken, plain

STEP = 1.1
DEEPEST = 20
DIGITS = 4
"""Weights are kept to so many decimals."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_TOKEN = re.compile(
    rf"""\\(?P<escaped>.)
    | <(?:lora|lyco):(?P<style>[^:<>]{{1,100}})(?::(?P<strength>{_NUMBER}))?>
    | (?P<unknown><(?:lora|lyco|hypernet):[^<>]*>)
    | \b(?P<order>BREAK|AND)\b
    | (?P<open>[(\[])
    | :\s*(?P<number>{_NUMBER})\s*\)
    | (?P<schedule>:\s*{_NUMBER}\s*\])
    | (?P<close>[)\]])
    | (?P<bar>\|)""",
    re.VERBOSE | re.DOTALL,
)
_SPECIAL = re.compile(r"[\\()\[\]]|<(?=lora:|lyco:|hypernet:)|\b(?=(?:BREAK|AND)\b)")


def read(glyphs: Sequence[Glyph]) -> tuple[list[Glyph], list[StyleToken]]:
    """The characters with their weights, and the styles that were named.

    InvalidRequest for what changes the sampling instead of the words, nesting beyond `DEEPEST`,
    or a weight that is too large. Brackets that nobody closed act to the end, as they do there.
    """
    reader = _Reader(glyphs)
    return reader.run(), reader.styles


class _Reader:
    """What has been read so far, and the brackets that are open."""

    def __init__(self, glyphs: Sequence[Glyph]) -> None:
        self._glyphs = glyphs
        self._read: list[Glyph] = []
        self._open: list[tuple[str, int]] = []
        self.styles: list[StyleToken] = []

    def run(self) -> list[Glyph]:
        at = 0
        for token in _TOKEN.finditer(plain(self._glyphs)):
            self._read += self._glyphs[at : token.start()]
            at = token.end()
            self._take(token)
        self._read += self._glyphs[at:]
        while self._open:
            self._close(_factor(self._open[-1][0]))
        while self.styles and self._read and self._read[-1].char.isspace():
            self._read.pop()
        return [rounded(glyph) for glyph in self._read]

    def _take(self, token: re.Match[str]) -> None:
        kind, inside = token.lastgroup, self._open[-1][0] if self._open else ""
        if kind == "escaped":
            self._read.append(self._glyphs[token.end() - 1])
        elif kind in ("style", "strength"):
            self.styles.append(_style(token, self._glyphs[token.start()]))
        elif kind == "open":
            if len(self._open) == DEEPEST:
                raise InvalidRequest("prompt", f"has brackets deeper than {DEEPEST}; use weights")
            self._open.append((token.group(), len(self._read)))
        elif kind == "number" and inside == "(":
            self._close(float(token["number"]))
        elif kind == "close" and inside == {")": "(", "]": "["}[token.group()]:
            self._close(_factor(inside))
        elif _changes_sampling(token, inside):
            words = f"{token.group()!r} changes the sampling, which words cannot do here"
            raise InvalidRequest("prompt", f"{words}; leave it out or write \\ before it")
        else:
            self._read += self._glyphs[token.start() : token.end()]

    def _close(self, factor: float) -> None:
        _, first = self._open.pop()
        inner = self._read[first:]
        self._read[first:] = [glyph._replace(weight=glyph.weight * factor) for glyph in inner]


def write(pieces: Iterable[tuple[str, float]], styles: Iterable[StyleToken] = ()) -> str:
    """Texts with their weights, as `read` takes them; the styles come last."""
    words = "".join(_written(text, weight) for text, weight in pieces)
    named = [f"<lora:{style.name}:{style.weight:g}>" for style in styles]
    return " ".join([words.rstrip(), *named] if words.strip() else named) if named else words


def _written(text: str, weight: float) -> str:
    escaped = _SPECIAL.sub(lambda found: "\\" + found.group(), text)
    return escaped if weight == 1 else f"({escaped}:{number(weight)})"


def number(weight: float) -> str:
    """To `DIGITS` decimals, without zeros at the end and without an exponent."""
    return f"{weight:.{DIGITS}f}".rstrip("0").rstrip(".")


def _changes_sampling(token: re.Match[str], inside: str) -> bool:
    kind = token.lastgroup
    return kind in ("order", "unknown") or (inside == "[" and kind in ("schedule", "bar"))


def _factor(bracket: str) -> float:
    return STEP if bracket == "(" else 1 / STEP


def rounded(glyph: Glyph) -> Glyph:
    """With its weight to `DIGITS` decimals; InvalidRequest beyond `MOST_WEIGHT` times."""
    weight = round(glyph.weight, DIGITS)
    if not abs(weight) <= MOST_WEIGHT:
        raise InvalidRequest("prompt", f"has the weight {weight:g}; the most is {MOST_WEIGHT:g}")
    return glyph._replace(weight=weight)


def _style(token: re.Match[str], first: Glyph) -> StyleToken:
    weight = float(token["strength"] or 1)
    if abs(weight) > MOST_WEIGHT:
        raise InvalidRequest("prompt", f"asks for {token['style']!r} {weight:g} times")
    place = first.place if first.kind == Kind.TYPED else None
    end = None if place is None else place + len(token.group())
    origin = Origin(kind=first.kind, name=first.name, start=place, end=end)
    return StyleToken(name=token["style"], weight=weight, origin=origin)
