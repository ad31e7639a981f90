"""Wildcards, choices and templates: read, written and drawn."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luciole.domain import InvalidRequest
from serving.orchestration.prompts.choices import (
    Choice,
    Draw,
    Option,
    Part,
    Template,
    Text,
    Wildcard,
    insert,
    read,
    write,
)
from serving.orchestration.prompts.tree import Glyph, Kind, plain, typed

LISTS = {"colour": ["red", "blue"], "coat": ["__colour__ coat", "long __colour__ coat"]}


def text_of(words: str) -> Text:
    """Without places: what was typed elsewhere equals it only by its letters."""
    return Text(tuple(typed(words)))


def bare(template: Template) -> Template:
    """The same without places."""
    return tuple(_bare(part) for part in template)


def _bare(part: Part) -> Part:
    if isinstance(part, Text):
        return Text(tuple(Glyph(glyph.char) for glyph in part.glyphs))
    if isinstance(part, Choice):
        options = tuple(Option(bare(one.parts), one.share) for one in part.options)
        return Choice(options, part.least, part.most, part.joiner)
    return part


TEXTS = st.text(alphabet="ab {}|_$:,()", min_size=1, max_size=8).map(text_of)
CARDS = st.sampled_from(["colour", "a/b", "hair_colour"]).map(Wildcard)


def choices(parts: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    shares = st.sampled_from([1.0, 0.5, 2.25, 0.000001])
    options = st.builds(Option, templates(parts), shares)

    def made(several: list[Option]) -> Choice:
        return Choice(tuple(several), 0, len(several), " and ")

    one_of = st.lists(options, min_size=2, max_size=3).map(lambda some: Choice(tuple(some)))
    return one_of | st.lists(options, min_size=1, max_size=3).map(made)


def templates(parts: st.SearchStrategy[Part]) -> st.SearchStrategy[Template]:
    """No two texts side by side, for those would be read as one."""

    def apart(some: list[Part]) -> Template:
        kept: list[Part] = []
        for part in some:
            if not (kept and isinstance(part, Text) and isinstance(kept[-1], Text)):
                kept.append(part)
        return tuple(kept)

    return st.lists(parts, max_size=3).map(apart)


TEMPLATES = templates(st.recursive(TEXTS | CARDS, choices, max_leaves=8))


@settings(max_examples=25)
@given(TEMPLATES)
def test_what_is_written_is_read_back(template: Template) -> None:
    assert bare(read(typed(write(template)))) == bare(template)


@given(st.text(alphabet=st.sampled_from("ab{}|_$:\\2-"), max_size=24))
def test_any_text_means_the_same_after_writing_what_was_read(text: str) -> None:
    try:
        template = read(typed(text))
    except InvalidRequest:
        return
    assert bare(read(typed(write(template)))) == bare(template)


def drawn(text: str, seed: int = 0) -> str:
    return plain(Draw(LISTS, seed)(read(typed(text))))


def test_a_seed_draws_the_same_and_seeds_draw_each_line_equally_often() -> None:
    counts = Counter(drawn("__colour__ {x|3::y}", seed) for seed in range(400))
    assert counts == Counter(drawn("__colour__ {x|3::y}", seed) for seed in range(400))
    reds = sum(count for words, count in counts.items() if words.startswith("red"))
    threes = sum(count for words, count in counts.items() if words.endswith("y"))
    # Four standard deviations of a binomial distribution.
    assert abs(reds - 200) < 4 * (400 * 0.25) ** 0.5
    assert abs(threes - 300) < 4 * (400 * 0.1875) ** 0.5


def test_a_choice_of_several_takes_different_ones() -> None:
    for seed in range(50):
        words = drawn("{2-3$$ and $$a|b|c|d}", seed).split(" and ")
        assert 2 <= len(words) <= 3
        assert len(set(words)) == len(words)


def test_lists_lead_to_lists_and_each_letter_says_which_one_was_typed() -> None:
    glyphs = Draw(LISTS, 1)(read(typed("a __coat__")))
    assert plain(glyphs).endswith("coat")
    assert {(glyph.kind, glyph.name) for glyph in glyphs[2:]} == {(Kind.WILDCARD, "coat")}
    assert {glyph.place for glyph in glyphs[2:]} == {2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__hat__", "no list __hat__; there are coat, colour"),
        ("{3$$a|b}", "cannot be drawn from 2 options"),
        ("{a|" * 13 + "b" + "}" * 13, "deeper"),
    ],
)
def test_what_cannot_be_drawn_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        drawn(text)


def test_lists_that_go_in_circles_or_grow_without_bound_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than 12 lists"):
        Draw({"a": ["__a__"]}, 0)(read(typed("__a__")))
    with pytest.raises(InvalidRequest, match="4000 characters"):
        Draw({"a": ["__b__" * 40], "b": ["x" * 200]}, 0)(read(typed("__a__")))


def test_a_template_goes_around_the_words_and_says_so() -> None:
    glyphs = insert("ink drawing of {prompt}, bold", "ink", typed("a girl"))
    assert plain(glyphs) == "ink drawing of a girl, bold"
    assert [glyph.kind for glyph in glyphs].count(Kind.TYPED) == len("a girl")
    with pytest.raises(InvalidRequest, match="once"):
        insert("ink drawing", "ink", typed("a girl"))
