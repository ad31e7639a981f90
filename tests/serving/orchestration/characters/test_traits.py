"""Characters are found by words, whatever the order in which they are said."""

import pytest

from luciole.domain import InvalidRequest
from luciole.domain.character import Facet
from serving.orchestration.characters.memory import CharacterMemory
from serving.orchestration.characters.traits import free_words, traits
from tests.serving.orchestration.characters.colours import CONSENT, given

PEOPLE = {
    "mika": ("a girl with long red hair and light skin", "a blue coat", "a scar on her cheek"),
    "anna": ("girl, short red hair", "red coat", ""),
    "lena": ("a girl with long blonde hair", "a blue dress", ""),
    "taro": ("a boy with curly black hair and tan skin", "a yellow hoodie and glasses", ""),
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "the red-haired one with the blue coat",
            {"hair_color": "red", "outfit": "coat", "outfit_color": "blue"},
        ),
        (
            "girl, long green hair, white t-shirt, dark skin",
            {
                "person": "girl",
                "hair_style": "long",
                "hair_color": "green",
                "outfit": "t-shirt",
                "outfit_color": "white",
                "skin": "dark",
            },
        ),
        ("a blonde woman", {"person": "girl", "hair_color": "blonde"}),
        (
            "pink twintails and headphones",
            {"hair_style": "twintails", "accessory": "headphones"},
        ),
        ("a man in a white shirt", {"person": "boy", "outfit": "t-shirt", "outfit_color": "white"}),
        ("somebody nice", {}),
    ],
)
def test_words_are_read_as_traits(text: str, found: dict[str, str]) -> None:
    assert traits(text) == found


def test_what_is_no_trait_remains_as_a_word() -> None:
    text = "the red-haired one with a scar"
    assert free_words(text, traits(text)) == ["scar"]


@pytest.fixture
def memory_of_four(memory: CharacterMemory) -> CharacterMemory:
    for seed, (name, (identity, outfit, palette)) in enumerate(PEOPLE.items()):
        words = {Facet.IDENTITY: identity, Facet.OUTFIT: outfit, Facet.PALETTE: palette}
        memory.create("ours", name, words, given(seed), CONSENT)
    return memory


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("the red-haired one with the blue coat", "mika"),
        ("red coat, red hair", "anna"),
        ("blonde", "lena"),
        ("the boy with glasses", "taro"),
        ("somebody with a scar", "mika"),
        ("Lena", "lena"),
    ],
)
def test_the_one_who_fits_the_words_best_comes_first(
    text: str, first: str, memory_of_four: CharacterMemory
) -> None:
    found = memory_of_four.by_words("ours", text)
    assert found[0].character.name == first
    assert found[0].score == pytest.approx(1)
    assert all(one.score < 1 for one in found[1:])


def test_who_contradicts_the_words_is_not_found(memory_of_four: CharacterMemory) -> None:
    names = [one.character.name for one in memory_of_four.by_words("ours", "black hair")]
    assert names == ["taro"]


def test_words_that_say_nothing_are_refused(memory_of_four: CharacterMemory) -> None:
    with pytest.raises(InvalidRequest, match="words: say something"):
        memory_of_four.by_words("ours", "the one with the")


@pytest.mark.parametrize("wild", ["100%", "zz_z", "'; drop table characters; --"])
def test_signs_that_mean_something_to_sql_are_only_words(
    wild: str, memory_of_four: CharacterMemory
) -> None:
    assert memory_of_four.by_words("ours", wild) == []
