"""The tree of a prompt: what phrases speak of, where words came from, and back to text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luciole.domain import InvalidRequest
from serving.orchestration.prompts.lexicon import Lexicon
from serving.orchestration.prompts.reading import Reader, Syntax, Template, detected, write
from serving.orchestration.prompts.tree import Kind, Prompt, Side

READER = Reader(Lexicon.shipped(), {"colour": ["red"]})
WORDS = st.sampled_from(
    ["girl", "a", "walking", "in", "rain", "red", "hair", "with", "unicorn", "low angle", ",", ". "]
)


def slots(text: str) -> list[tuple[str, str]]:
    return [(phrase.text, phrase.slot.value) for phrase in READER.read(text).wanted.phrases]


def test_a_wish_falls_into_who_does_what_where() -> None:
    assert slots("Anime girl walking in rain") == [
        ("Anime", "style"),
        ("girl", "subject"),
        ("walking", "action"),
        ("in rain", "setting"),
    ]


def test_a_sentence_falls_into_phrases_as_tags_do() -> None:
    sentence = "a girl with long red hair in a blue coat is walking on a city street, low angle"
    assert slots(sentence) == [
        ("a girl", "subject"),
        ("with long red hair", "attributes"),
        ("in a blue coat", "attributes"),
        ("is walking", "action"),
        ("on a city street", "setting"),
        ("low angle", "camera"),
    ]
    tags = "1girl, red hair, soft light, masterpiece, spaceship"
    kinds = ["subject", "attributes", "lighting", "quality", "other"]
    assert [slot for _, slot in slots(tags)] == kinds


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("a girl riding a unicorn", "action"),
        ("an old man playing guitar", "action"),
        ("a running boy", "subject"),
        ("a girl, morning", "setting"),
        ("spaceship", "subject"),
    ],
)
def test_the_last_phrase_of_these_speaks_of(text: str, slot: str) -> None:
    assert slots(text)[-1][1] == slot


@settings(max_examples=40)
@given(st.lists(WORDS, max_size=10).map(" ".join))
def test_the_phrases_hold_every_letter(text: str) -> None:
    assert READER.read(text, syntax=Syntax.PLAIN).wanted.text == text


def without_places(side: Side) -> list[tuple[str, str, list[tuple[str, float]]]]:
    return [
        (phrase.before, phrase.slot, [(piece.text, piece.weight) for piece in phrase.pieces])
        for phrase in side.phrases
    ]


@pytest.mark.parametrize("syntax", [Syntax.A1111, Syntax.COMPEL])
@settings(max_examples=25)
@given(text=st.lists(st.tuples(WORDS, st.sampled_from([1, 1, 0.5, 1.3])), max_size=8))
def test_a_weighed_tree_is_read_back(syntax: Syntax, text: list[tuple[str, float]]) -> None:
    spoken = " ".join(word if weight == 1 else f"({word}:{weight})" for word, weight in text)
    tree = READER.read(spoken, syntax=Syntax.A1111).wanted
    again = READER.read(write(tree, syntax), syntax=syntax).wanted
    assert without_places(again) == without_places(tree)
    assert again.text == tree.text


def test_each_piece_says_where_it_came_from() -> None:
    typed = "a girl, __colour__ coat, (rain:1.3) <lora:ink:0.8>"
    prompt = READER.read(typed, template=Template("noir", "film still of {prompt}, noir"))
    pieces = [piece for phrase in prompt.wanted.phrases for piece in phrase.pieces]
    from_lists = [p for p in pieces if p.origin.kind == Kind.WILDCARD]
    assert [(p.text, p.origin.name) for p in from_lists] == [("red", "colour")]
    assert typed[from_lists[0].origin.start : from_lists[0].origin.end] == "__colour__"
    rain = next(p for p in pieces if p.weight == 1.3)
    assert typed[rain.origin.start : rain.origin.end] == rain.text == "rain"
    assert {p.origin.name for p in pieces if p.origin.kind == Kind.TEMPLATE} == {"noir"}
    [style] = prompt.styles
    assert typed[style.origin.start : style.origin.end] == "<lora:ink:0.8>"


@pytest.mark.parametrize(
    ("text", "syntax"),
    [("rain++", "compel"), ("(rain)1.3", "compel"), ("(rain:1.3)", "a1111"), ("a girl", "a1111")],
)
def test_the_syntax_is_seen_from_the_text(text: str, syntax: str) -> None:
    assert detected(text) == syntax


def test_a_mixture_of_both_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="mixes"):
        READER.read("(rain:1.3) and snow++")


def test_what_a_syntax_cannot_say_is_refused_instead_of_dropped() -> None:
    prompt = READER.read("(rain:1.3) <lora:ink:0.8>")
    with pytest.raises(InvalidRequest, match="ink"):
        write(prompt.wanted, Syntax.COMPEL, prompt.styles)
    with pytest.raises(InvalidRequest, match="how loud"):
        write(prompt.wanted, Syntax.PLAIN)


def test_a_style_cannot_be_unwanted() -> None:
    with pytest.raises(InvalidRequest) as caught:
        READER.read("a girl", "<lora:ink:1>")
    assert caught.value.field == "negative_prompt"


def test_nothing_is_read_from_nothing() -> None:
    assert READER.read("") == Prompt()
