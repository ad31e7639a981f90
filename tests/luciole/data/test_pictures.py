"""Drawn pictures on disk."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from luciole.data import pictures as module
from luciole.data.pictures import Pictures
from luciole.storyworld import captions, render, sample_scene


def test_a_row_is_what_the_world_draws_from_its_seed(pictures: Pictures) -> None:
    scene = sample_scene(9, "train")
    assert np.array_equal(pictures.images([9])[0], render(scene, 64, 64, maps=False).image)
    assert pictures.captions(9) == list(captions(scene, 9))
    assert pictures.words[9]["labels"] == scene.labels()
    assert set(pictures.words[9]["readable"]) == scene.readable()


def test_people_cover_the_cells_that_their_masks_say(pictures: Pictures) -> None:
    masks = render(sample_scene(9, "train"), 64, 64).masks
    assert masks is not None
    covered = pictures.people(9)
    assert covered.shape == (8, 8)
    assert covered[3, 4] == pytest.approx(masks.any(0)[24:32, 32:40].mean(), abs=0.003)
    assert covered.mean() == pytest.approx(masks.any(0).mean(), abs=0.003)


def test_a_size_that_cells_do_not_fill_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size: 36 pixels are not a multiple of 8"):
        Pictures.draw(2, str(tmp_path), size=36, workers=1, shard=2)


def test_only_as_many_as_asked_for_are_there(pictures: Pictures) -> None:
    assert len(pictures) == 12


def test_a_larger_count_keeps_what_was_drawn(tmp_path: Path) -> None:
    few = Pictures.draw(4, str(tmp_path), size=32, workers=1, shard=4)
    drawn = few.files[0].stat().st_mtime_ns
    more = Pictures.draw(8, str(tmp_path), size=32, workers=1, shard=4)
    assert more.files[0].stat().st_mtime_ns == drawn
    assert len(more.files) == 2


def test_two_processes_draw_the_same_as_one(tmp_path: Path) -> None:
    alone = Pictures.draw(4, str(tmp_path / "1"), size=32, workers=1, shard=2)
    both = Pictures.draw(4, str(tmp_path / "2"), size=32, workers=2, shard=2)
    assert np.array_equal(alone.images(range(4)), both.images(range(4)))


def test_a_changed_world_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Pictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)
    monkeypatch.setattr(module, "world_version", lambda: "another")
    new = Pictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)
    assert old.files[0] != new.files[0]


def test_a_shard_that_was_interrupted_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(module.np, "save", _stop)
        with pytest.raises(KeyboardInterrupt):
            Pictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)
    assert len(Pictures.draw(2, str(tmp_path), size=32, workers=1, shard=2)) == 2


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_both_splits_come_in_halves_and_leave_the_seeds_for_measuring(tmp_path: Path) -> None:
    both = Pictures.draw_both_splits(8, 5, str(tmp_path), size=32, workers=1, shard=4)
    assert [words["seed"] for words in both.words] == [0, 1, 2, 3, 8, 9, 10, 11]
    scene = sample_scene(8, "held_out")
    assert np.array_equal(both.images([4])[0], render(scene, 32, 32, maps=False).image)


def test_words_are_read_line_by_line_from_disk(pictures: Pictures) -> None:
    lines = [line for shard in pictures.files for line in _lines(shard)]
    assert list(pictures.words) == [json.loads(line) for line in lines[:12]]
    assert pictures.words[-1] == pictures.words[11]
    assert pictures.words[7:9] == [pictures.words[7], pictures.words[8]]
    with pytest.raises(IndexError):
        pictures.words[12]
    assert pickle.loads(pickle.dumps(pictures.words))[9] == pictures.words[9]  # noqa: S301


def _lines(images: Path) -> list[str]:
    return images.with_suffix(".jsonl").read_text().splitlines()


def test_the_card_says_what_was_drawn(pictures: Pictures) -> None:
    said = pictures.provenance()
    assert said["source"].startswith("storyworld ")
    assert said["licences"] == {"Apache-2.0": 12}
    assert said["content"] == pictures.provenance()["content"]
    fewer = Pictures.draw(8, str(pictures.files[0].parents[1]), size=64, workers=1, shard=8)
    assert fewer.provenance()["content"] != said["content"]
