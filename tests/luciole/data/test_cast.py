"""A character's data: always the same looks, in the world's places and poses."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from luciole.data.cast import CharacterPictures
from luciole.data.pictures import Pictures
from luciole.storyworld import Identity, sample_scene

WORDS = "a boy with short black hair in a yellow hoodie"
TARO = asdict(Identity("boy", "black", "short", "tan", "hoodie", "yellow", "none"))


def of(folder: str, looks: dict[str, str]) -> CharacterPictures:
    return CharacterPictures.of(looks, WORDS, 6, folder, "train", 64, 1, 6)


def test_every_picture_shows_the_character_where_the_worlds_scene_is(tmp_path: Path) -> None:
    pictures = of(str(tmp_path), TARO)
    for row in range(6):
        told, scene = pictures.words[row]["labels"], sample_scene(row)
        assert {look: told[look] for look in TARO} == TARO
        assert (told["setting"], told["action"]) == (scene.setting, scene.actors[0].action)


def test_every_caption_has_the_characters_words_and_the_place(tmp_path: Path) -> None:
    for row in range(6):
        scene = sample_scene(row)
        for caption in of(str(tmp_path), TARO).captions(row):
            assert WORDS in caption
            assert {scene.setting, scene.time, scene.shot} <= {*caption.split(", ")}


def test_each_character_has_files_of_its_own_beside_the_worlds(tmp_path: Path) -> None:
    folder, other = str(tmp_path), TARO | {"hair_style": "long"}
    sets = [of(folder, TARO), of(folder, other), Pictures.draw(6, folder, "train", 64, 1, 6)]
    assert len({str(one.files) for one in sets}) == 3
    assert not np.array_equal(sets[0].images([0]), sets[1].images([0]))


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        (TARO | {"skin": "blue"}, "identity.skin: 'blue' is none of light"),
        (TARO | {"shoes": "red"}, "wrong are shoes"),
        ({"person": "boy"}, "wrong are accessory"),
    ],
)
def test_a_wrong_look_is_named(looks: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        of(str(tmp_path), looks)
