"""Weights in both syntaxes, against closed forms and what their own parsers answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luciole.domain import InvalidRequest
from serving.orchestration.prompts import a1111, compel
from serving.orchestration.prompts.tree import pieces, typed

WORDS = st.text(alphabet=st.sampled_from("ab c,()[]{}\\:+-.1|<>é"), min_size=1, max_size=12)
WEIGHTS = st.integers(0, 100_000).map(lambda n: n / 10_000)
RUNS = st.lists(st.tuples(WORDS, WEIGHTS), max_size=6)
ANYTHING = st.text(alphabet=st.sampled_from("ab ()[]\\:1.2+-,"), max_size=30)


def a1111_runs(text: str) -> list[tuple[str, float]]:
    return [(piece.text, piece.weight) for piece in pieces(a1111.read(typed(text))[0])]


def compel_runs(text: str) -> list[tuple[str, float]]:
    return [(piece.text, piece.weight) for piece in pieces(compel.read(typed(text)))]


def merged(runs: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Neighbours of one weight are one run."""
    out: list[tuple[str, float]] = []
    for text, weight in runs:
        if out and out[-1][1] == weight:
            out[-1] = (out[-1][0] + text, weight)
        else:
            out.append((text, weight))
    return out


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("(rain)", [("rain", 1.1)]),
        ("((rain))", [("rain", 1.21)]),
        ("[rain]", [("rain", 0.9091)]),
        ("a (rain:1.3) day", [("a ", 1.0), ("rain", 1.3), (" day", 1.0)]),
        ("(a (b:2):1.5)", [("a ", 1.5), ("b", 3.0)]),
        (r"\(rain\)", [("(rain)", 1.0)]),
        ("rain)", [("rain)", 1.0)]),
        ("a (rain", [("a ", 1.0), ("rain", 1.1)]),
        ("ratio 4:3", [("ratio 4:3", 1.0)]),
        ("(x:-0.5)", [("x", -0.5)]),
    ],
)
def test_a1111_weights_multiply(text: str, runs: list[tuple[str, float]]) -> None:
    assert a1111_runs(text) == runs


@pytest.mark.parametrize(
    ("text", "runs"),
    [  # as compel 2.5.1's own parser answers, but for the spaces that it drops
        ("a girl in rain++", [("a girl in ", 1.0), ("rain", 1.21)]),
        ("(heavy rain)1.3 falls", [("heavy rain", 1.3), (" falls", 1.0)]),
        ("a (big (red)1.5 hat)0.8", [("a ", 1), ("big ", 0.8), ("red", 1.2), (" hat", 0.8)]),
        ("close-up-- x", [("close-up", 0.81), (" x", 1.0)]),
        ("t-shirt-", [("t-shirt", 0.9)]),
        ("(c++)1.0", [("c", 1.21)]),
        ("a close-up, a+b", [("a close-up, a+b", 1.0)]),
        ("(a)1.2.", [("a", 1.2), (".", 1.0)]),
        ("rain+, snow", [("rain", 1.1), (", snow", 1.0)]),
        ("rain)", [("rain)", 1.0)]),
        (r"(it \( is)1.3", [("it ( is", 1.3)]),
    ],
)
def test_compel_weights_are_those_of_compel(text: str, runs: list[tuple[str, float]]) -> None:
    assert compel_runs(text) == runs


@settings(max_examples=40)
@given(RUNS)
def test_what_a1111_writes_it_reads_back(runs: list[tuple[str, float]]) -> None:
    assert a1111_runs(a1111.write(merged(runs))) == merged(runs)


@settings(max_examples=40)
@given(RUNS)
def test_what_compel_writes_it_reads_back(runs: list[tuple[str, float]]) -> None:
    assert compel_runs(compel.write(merged(runs))) == merged(runs)


@settings(max_examples=50)
@given(ANYTHING)
def test_any_text_means_the_same_after_writing_what_was_read(text: str) -> None:
    try:
        runs = a1111_runs(text)
    except InvalidRequest:
        return
    assert a1111_runs(a1111.write(runs)) == runs


@settings(max_examples=50)
@given(ANYTHING)
def test_any_text_means_the_same_in_the_other_syntax(text: str) -> None:
    try:
        runs = compel_runs(text)
    except InvalidRequest:
        return
    assert a1111_runs(a1111.write(runs)) == runs


@pytest.mark.parametrize("text", ["[a:b:0.5]", "[a|b]", "rain BREAK snow", "a AND b", "<lora:x y"])
def test_what_would_change_the_sampling_is_refused_and_what_only_looks_so_is_not(text: str) -> None:
    if text.startswith("<"):
        assert a1111_runs(text) == [(text, 1.0)]
        return
    with pytest.raises(InvalidRequest, match="changes the sampling"):
        a1111.read(typed(text))


def test_an_escaped_break_is_a_word() -> None:
    assert a1111_runs(a1111.write([("BREAK", 1.0)])) == [("BREAK", 1.0)]


@pytest.mark.parametrize("text", ["(" * 21 + "a", "(a:11)", "((((a:5):5):5))"])
def test_too_deep_or_too_loud_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"deeper|weight"):
        a1111.read(typed(text))


def test_styles_among_the_words_are_taken_out_of_them() -> None:
    glyphs, styles = a1111.read(typed("a girl, <lora:ink:0.8> <lora:neon>"))
    assert "".join(glyph.char for glyph in glyphs) == "a girl,"
    assert [(style.name, style.weight) for style in styles] == [("ink", 0.8), ("neon", 1.0)]
    assert (styles[0].origin.start, styles[0].origin.end) == (8, 22)


@pytest.mark.parametrize("text", ['("a", "b").blend(1, 2)', "(a).and(b)", "cat.swap(dog)"])
def test_the_functions_of_compel_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="compel"):
        compel.read(typed(text))


def test_compel_cannot_write_a_weight_below_zero() -> None:
    with pytest.raises(InvalidRequest, match="below 0"):
        compel.write([("a", -1.0)])
