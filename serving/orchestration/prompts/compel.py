"""Weights as compel writes them: `rain++`, `rain-`, `(heavy rain)1.3`, `(heavy rain)+`."""

import re
from collections.abc import Iterable, Sequence

from luciole.domain import InvalidRequest
from serving.orchestration.prompts.a1111 import DEEPEST, number, rounded
from serving.orchestration.prompts.tree import Glyph, plain

LOUDER, QUIETER = 1.1, 0.9
_END = r"(?=$|[\s,.;:!?)(])"
_SUFFIX = re.compile(rf"\d+(?:\.\d+)?|\.\d+|\+{{1,40}}|-{{1,40}}{_END}")
_TOKEN = re.compile(
    rf"""\\(?P<escaped>[()+\-\\])
    | (?P<open>\()
    | (?P<close>\))
    | (?P<word>[^\s,.;:!?()\\+-](?:[^\s,;()\\+-]|[+-](?![+-]*{_END}))*)
      (?P<signs>\++{_END}|-+{_END})?
    """,
    re.VERBOSE | re.DOTALL,
)
_CALL = re.compile(r"\.(?:and|blend|swap|withLora)\(")
_SIGNS = re.compile(rf"(?<=[^\s+-])(?:\++|-+){_END}")
_SPECIAL = re.compile(r"[\\()]")


def read(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """The characters with their weights; brackets that nobody closed are characters.

    InvalidRequest for compel's functions (blend, and, swap), nesting beyond `DEEPEST`, or a
    weight that is too large.
    """
    text = plain(glyphs)
    if call := _CALL.search(text):
        raise InvalidRequest("prompt", f"{call.group()!r} is compel's, and not read here")
    done: list[Glyph] = []
    opened: list[int] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            done.append(glyphs[at])
            at += 1
            continue
        at = token.end()
        if token["escaped"]:
            done.append(glyphs[token.end() - 1])
        elif token["open"]:
            opened.append(len(done))
            done.append(glyphs[token.start()])
        elif token["close"] and opened:
            suffix = _SUFFIX.match(text, at)
            at = suffix.end() if suffix else at
            _close(done, opened.pop(), _factor(suffix.group() if suffix else ""))
        else:
            last = len(done)
            done += glyphs[token.start() : token.end() - len(token["signs"] or "")]
            _weigh(done, last, _factor(token["signs"] or ""))
        if len(opened) > DEEPEST:
            raise InvalidRequest("prompt", f"has brackets deeper than {DEEPEST}; use weights")
    return [rounded(glyph) for glyph in done]


def write(pieces: Iterable[tuple[str, float]]) -> str:
    """Texts with their weights, as `read` takes them."""
    written = ""
    for text, weight in pieces:
        if weight < 0:
            raise InvalidRequest("prompt", "has a weight below 0, which compel cannot write")
        escaped = _SPECIAL.sub(r"\\\g<0>", text)
        escaped = _SIGNS.sub(lambda found: "".join(f"\\{sign}" for sign in found.group()), escaped)
        # What follows a bracket could be taken for a part of its weight.
        clash = written.endswith(tuple("0123456789)")) and re.match(r"[\d.+-]", escaped)
        bare = weight == 1 and not clash
        written += escaped if bare else f"({escaped}){number(weight)}"
    return written


def _close(done: list[Glyph], first: int, factor: float) -> None:
    del done[first]
    _weigh(done, first, factor)


def _weigh(done: list[Glyph], first: int, factor: float) -> None:
    if factor != 1:
        done[first:] = [glyph._replace(weight=glyph.weight * factor) for glyph in done[first:]]


def _factor(suffix: str) -> float:
    if suffix[:1] == "+":
        return float(LOUDER ** len(suffix))
    if suffix[:1] == "-":
        return float(QUIETER ** len(suffix))
    return float(suffix) if suffix else 1.0
