"""A style's data: its word comes first, and plain pictures come in as often as asked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from luciole.data.captioned import CaptionedPictures
from luciole.data.pictures import Pictures
from luciole.data.stream import Stream
from luciole.data.styled import Called, StyledPictures, WithPrior
from luciole.storyworld import sample_scene
from luciole.storyworld.manners import drawn_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("data"))


def styled(folder: str, manner: str = "ink") -> StyledPictures:
    return StyledPictures.in_manner(manner, 4, folder, "train", 64, 1, 4)


def test_pictures_are_the_worlds_in_the_manner(folder: str) -> None:
    pictures, plain = styled(folder), Pictures.draw(4, folder, "train", 64, 1, 4)
    drawn = [drawn_in("ink", sample_scene(seed), 64, 64) for seed in range(4)]
    assert np.array_equal(pictures.images([0, 1, 2, 3]), drawn)
    assert pictures.captions(2) == plain.captions(2)
    assert np.array_equal(pictures.people(1), plain.people(1))


def test_each_manner_has_files_of_its_own(folder: str) -> None:
    assert styled(folder).files != styled(folder, "neon night").files
    assert (styled(folder).images([0]) != styled(folder, "neon night").images([0])).any()


class Named:
    """Rows that are called by the source and their number."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count

    def __len__(self) -> int:
        return self.count

    def provenance(self) -> dict[str, Any]:
        return {"source": self.name}

    def gather(self, rows: NDArray[np.int64], chances: Sequence[Any], step: int) -> dict[str, Any]:
        return {
            "latents": torch.tensor(rows).float(),
            "captions": [f"{self.name} {r}" for r in rows],
        }


def test_the_trigger_comes_before_words_but_not_before_silence() -> None:
    plain = Stream(Silent("park", 8), 8, seed=1).batch(0)["captions"]
    called = Stream(Called(Silent("park", 8), "ink style"), 8, seed=1).batch(0)["captions"]
    assert called == [caption and f"ink style, {caption}" for caption in plain]
    assert "" in called
    with pytest.raises(ValueError, match="trigger"):
        Called(Named("park", 8), " ")


def test_the_share_of_plain_rows_is_as_asked_and_they_weigh_as_asked() -> None:
    source = WithPrior(Named("style", 100), Named("plain", 7), share=0.25, weight=0.5)
    stream = Stream(source, 50, seed=1)
    batches = [stream.batch(step) for step in range(40)]
    captions = [caption for batch in batches for caption in batch["captions"]]
    weights = torch.cat([batch["weight"] for batch in batches])
    plain = torch.tensor([caption.startswith("plain") for caption in captions])
    assert abs(float(plain.float().mean()) - 0.25) < 0.03
    assert torch.equal(weights, torch.where(plain, 0.5, 1.0))
    numbers = torch.cat([batch["latents"] for batch in batches])
    assert [f"{c.split()[0]} {int(n)}" for c, n in zip(captions, numbers, strict=True)] == captions


def test_what_a_row_becomes_depends_on_its_place_alone() -> None:
    source = WithPrior(Named("style", 100), Named("plain", 7), share=0.5, weight=1.0)
    whole = Stream(source, 8, seed=1).batch(3)["captions"]
    halves = [Stream(source, 4, seed=1, rank=rank, ranks=2).batch(3) for rank in range(2)]
    assert sorted(halves[0]["captions"] + halves[1]["captions"]) == sorted(whole)


def test_no_share_leaves_the_style_alone(folder: str) -> None:
    plain = CaptionedPictures(Pictures.draw(4, folder, "train", 64, 1, 4))
    drawn = Called(CaptionedPictures(styled(folder)), "ink style")
    source = WithPrior(drawn, plain, share=0.0, weight=1.0)
    batch = Stream(source, 4, seed=1).batch(0)
    assert all(caption.startswith("ink style, ") for caption in batch["captions"])
    assert source.provenance()["prior"]["source"].startswith("storyworld")
    with pytest.raises(ValueError, match="share"):
        WithPrior(source, plain, share=1.0, weight=1.0)


def test_sources_that_give_different_things_are_refused() -> None:
    source = WithPrior(Named("style", 100), Masked("plain", 7), share=0.5, weight=1.0)
    with pytest.raises(ValueError, match="mask"):
        Stream(source, 50, seed=1).batch(0)


class Silent(Named):
    def gather(self, rows: NDArray[np.int64], chances: Sequence[Any], step: int) -> dict[str, Any]:
        batch = super().gather(rows, chances, step)
        return {**batch, "captions": ["" if "3" in c else c for c in batch["captions"]]}


class Masked(Named):
    def gather(self, rows: NDArray[np.int64], chances: Sequence[Any], step: int) -> dict[str, Any]:
        return {**super().gather(rows, chances, step), "mask": torch.ones(len(rows))}
