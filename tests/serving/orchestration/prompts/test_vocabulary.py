"""What the base was taught, and how much of it a window holds."""

import re

import pytest

import luciole.storyworld as storyworld
from luciole.bundle import Bundle, Manifest, PromptSettings, TextEncoding
from luciole.shipped import shipped_model
from luciole.storyworld import ATTRIBUTES
from luciole.tokens import PromptTokenizer
from serving.orchestration.prompts.lexicon import Lexicon
from serving.orchestration.prompts.reading import Reader
from serving.orchestration.prompts.vocabulary import SHIPPED, Vocabulary
from serving.orchestration.prompts.windows import Windows

POCKET = Vocabulary.read(SHIPPED / "pocket.yaml")
READER = Reader(Lexicon.shipped(), {})


def test_the_list_of_pocket_is_the_words_of_its_captions() -> None:
    scenes = (storyworld.sample_scene(seed) for seed in range(1500))
    captions = (
        words for seed, one in enumerate(scenes) for words in storyworld.captions(one, seed)
    )
    assert {word for text in captions for word in re.findall(r"[\w'-]+", text)} == POCKET.words


def test_the_colours_of_pocket_are_those_of_its_world() -> None:
    assert set(POCKET.colours["hair"]) == set(ATTRIBUTES["hair_color"])
    assert set(POCKET.colours["skin"]) == set(ATTRIBUTES["skin"])
    for outfit in ATTRIBUTES["outfit"]:
        assert set(POCKET.colours[outfit]) == set(ATTRIBUTES["outfit_color"])


def test_neighbours_are_taught_words_of_untaught_ones() -> None:
    for known, others in POCKET.near.items():
        assert POCKET.missing(known) == []
        for other in others:
            assert POCKET.missing(other) or other.split()[0] in {
                colour for some in POCKET.colours.values() for colour in some
            }, other


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a woman walks", [("woman", "girl", "meaning"), ("walks", "walking", "meaning")]),
        ("a gril wlaking", [("gril", "girl", "spelling"), ("wlaking", "walking", "spelling")]),
        ("(purple hair:1.2)", [("purple hair", "pink hair", "meaning")]),
        ("orange skin", [("orange skin", None, None)]),
        ("from below", [("from below", "low angle", "meaning")]),
        ("danced", [("danced", "dancing", "form")]),
        ("a unicorn", [("unicorn", None, None)]),
        ("an anime girl with red hair in a purple coat", []),
    ],
)
def test_untaught_words_come_with_the_nearest(
    text: str, found: list[tuple[str, str | None, str | None]]
) -> None:
    untaught = POCKET.untaught(READER.read(text))
    assert [(one.text, one.nearest, one.why) for one in untaught] == found


def test_each_is_pointed_to_in_what_was_typed() -> None:
    typed, unwanted = "a girl, (red jacket:1.3) in the woods", "an umbrella"
    found = POCKET.untaught(READER.read(typed, unwanted))
    assert [typed[one.origin.start : one.origin.end] for one in found[:2]] == ["jacket", "woods"]
    assert [one.unwanted for one in found] == [False, False, True]
    assert unwanted[found[2].origin.start : found[2].origin.end] == "umbrella"


def test_triggers_of_styles_are_known_too() -> None:
    prompt = READER.read("a girl, ink style")
    assert POCKET.untaught(prompt, besides=["ink style"]) == []
    assert len(POCKET.untaught(prompt)) == 2


def words_only(name: str, files: dict[str, str]) -> Bundle:
    """The part of a bundle that deals with words: the shipped model's tokenizers."""
    encodings = [
        TextEncoding(folder=folder, bos=816, eos=817, pad=817)
        for folder in ("tokenizer", "tokenizer_2")
    ]
    prompt = PromptSettings(tokenizers=(encodings[0], encodings[1]), zeros_for_empty_negative=False)
    manifest = Manifest.model_construct(name=name, files=files, prompt=prompt)
    return Bundle(shipped_model(), manifest)


def test_a_base_whose_words_nobody_wrote_down_is_not_judged() -> None:
    assert Vocabulary.of(words_only("pocket", {})) == POCKET
    assert Vocabulary.of(words_only("somebody-elses", {})) is None


def test_windows_hold_every_word_and_say_where_the_next_one_begins() -> None:
    tokenizer = PromptTokenizer(words_only("pocket", {}))
    text = ", ".join(["girl in rain"] * 30)  # four tokens each, and no comma after the last
    windows = Windows.of(text, tokenizer)
    assert (windows.tokens, windows.room, windows.count) == (119, 75, 2)
    assert windows.count == tokenizer.windows_needed(text)
    [second] = windows.begin
    assert Windows.of(text[:second], tokenizer).tokens == 75
    assert Windows.of("girl", tokenizer).begin == ()
