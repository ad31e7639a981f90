"""Pairs of one character."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luciole.data.latents import Latents
from luciole.data.pairs import (
    LOOKS,
    REFERENCES,
    PairedLatents,
    Pairs,
    held_out_character,
    sample_pair,
    without_looks,
)
from luciole.data.pictures import Pictures, Split
from luciole.models.autoencoder import autoencoder
from luciole.storyworld import ATTRIBUTES, captions, sample_scene


def chances(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng((3, i)) for i in range(count)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder: Path = tmp_path_factory.mktemp("pairs")
    return Pairs.draw(6, str(folder), size=64, workers=1, shard=4)


@pytest.fixture(scope="module")
def latents(pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Latents:
    torch.manual_seed(0)
    tiny: Any = autoencoder((8, 8, 8, 8), 8, 1, 4, 64, False, scaling_factor=0.5)
    return Latents(pairs, tiny, str(tmp_path_factory.mktemp("latents")))


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_a_pair_is_one_character_in_two_scenes(split: Split) -> None:
    clothes = []
    for seed in range(20):
        reference, target = sample_pair(seed, split)
        (first,), (second,) = reference.actors, target.actors
        assert all(getattr(first.identity, k) == getattr(second.identity, k) for k in LOOKS)
        assert reference.shot in REFERENCES
        assert (first.jitter, reference.seed) != (second.jitter, target.seed)
        worn = [(who.identity.outfit, who.identity.outfit_color) for who in (first, second)]
        clothes.append(worn[0] != worn[1])
        assert first.identity.person == "girl" or first.identity.outfit != "dress"
    assert sum(clothes) > 15


def test_no_pair_that_trains_shows_a_held_out_character_or_scene() -> None:
    for seed in range(20):
        for scene in sample_pair(seed, "train"):
            assert not scene.held_out
            assert not held_out_character(scene.actors[0].identity)
        reference, target = sample_pair(seed, "held_out")
        assert held_out_character(reference.actors[0].identity)
        assert target.held_out


def test_about_one_character_in_ten_is_held_out() -> None:
    who = {
        tuple(getattr(scene.actors[0].identity, look) for look in LOOKS): scene.actors[0].identity
        for scene in (sample_scene(seed) for seed in range(2000))
    }
    share = np.mean([held_out_character(identity) for identity in who.values()])
    assert 0.07 < share < 0.13


def test_a_caption_without_looks_names_no_look_and_keeps_the_rest() -> None:
    looks = {"hair", "twintails", "bun", "ponytail", "curly", "skin"}
    looks |= {"glasses", "hat", "scarf", "headphones"}
    for seed in range(100):
        scene = sample_scene(seed)
        for caption in captions(scene, seed):
            short = without_looks(caption)
            assert not looks & set(short.replace(",", " ").split()), caption
            for kind in ("outfit", "action", "setting", "shot"):
                named = [value in caption for value in ATTRIBUTES[kind]]
                assert [value in short for value in ATTRIBUTES[kind]] == named

    caption = "a girl with long red hair and tan skin in a red coat with a straw hat waving"
    assert without_looks(caption) == "a girl in a red coat waving"


def test_the_same_seed_gives_the_same_files(pairs: Pairs, tmp_path: Path) -> None:
    again = Pairs.draw(6, str(tmp_path), size=64, workers=1, shard=4)
    rows = np.arange(6)
    assert np.array_equal(again.references(rows), pairs.references(rows))
    assert np.array_equal(again.images(rows), pairs.images(rows))
    assert [json.dumps(again.words[i]) for i in range(6)] == [
        json.dumps(pairs.words[i]) for i in range(6)
    ]
    assert not np.array_equal(pairs.references(rows), pairs.images(rows))


def test_held_out_captions_leave_the_looks_to_the_reference(tmp_path: Path) -> None:
    few = Pairs.draw(4, str(tmp_path), "held_out", size=32, workers=1, shard=4)
    for row in range(4):
        assert all(without_looks(caption) == caption for caption in few.captions(row))


def test_drop_rates_take_words_references_or_both(latents: Latents) -> None:
    rows = np.arange(6)
    full = PairedLatents(latents, 0.0, 0.0, 0.0).gather(rows, chances(6), 0)
    assert full["shown"].all()
    assert all(full["captions"])
    assert full["references"].shape == (6, 3, 64, 64)
    assert full["labels"][2]["person"] in ("girl", "boy")
    for rates, shown, told in (((1, 0, 0), 1, 0), ((0, 1, 0), 0, 1), ((0, 0, 1), 0, 0)):
        batch = PairedLatents(latents, *rates).gather(rows, chances(6), 0)
        assert batch["shown"].tolist() == [bool(shown)] * 6
        assert [bool(caption) for caption in batch["captions"]] == [bool(told)] * 6


def test_half_is_about_half(latents: Latents) -> None:
    source = PairedLatents(latents, 0.25, 0.25, 0.25)
    fates = []
    for i in range(100):
        batch = source.gather(np.arange(4), [np.random.default_rng((i, j)) for j in range(4)], 0)
        fates += list(zip(batch["shown"].tolist(), map(bool, batch["captions"]), strict=True))
    for fate in ((True, True), (True, False), (False, True), (False, False)):
        assert 0.18 < fates.count(fate) / len(fates) < 0.32


def test_only_pairs_will_do(latents: Latents, tmp_path: Path) -> None:
    class Plain:
        pictures = Pictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)

    plain: Any = Plain()
    with pytest.raises(ValueError, match="pairs"):
        PairedLatents(plain, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="more than 1"):
        PairedLatents(latents, 0.5, 0.5, 0.5)
