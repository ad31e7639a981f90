"""The endless stream of batches."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from luciole.data.stream import Batch, Chances, Stream


class Numbers:
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def gather(self, rows: np.ndarray, chances: Chances, step: int) -> Batch:
        return {"rows": rows.tolist(), "draws": [one.random() for one in chances]}

    def provenance(self) -> dict[str, Any]:
        return {"pictures": self.count}


def same(one: Batch, other: Batch) -> bool:
    return one["draws"] == other["draws"] and one["rows"] == other["rows"]


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (10, 4), (7, 7)])
def test_every_row_comes_exactly_once_an_epoch(rows: int, batch: int) -> None:
    stream = Stream(Numbers(rows), batch, seed=3)
    seen = [row for step in range(3 * rows) for row in stream.batch(step)["rows"]]
    for epoch in range(3):
        assert sorted(seen[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_a_batch_depends_on_the_seed_and_the_step_alone() -> None:
    walked = list(islice(Stream(Numbers(10), 4, seed=3), 9))
    assert same(Stream(Numbers(10), 4, seed=3).batch(8), walked[8])
    assert same(next(iter(Stream(Numbers(10), 4, seed=3, start=8))), walked[8])
    assert not same(Stream(Numbers(10), 4, seed=4).batch(8), walked[8])


def test_two_ranks_see_together_what_one_with_twice_the_batch_sees() -> None:
    whole = Stream(Numbers(11), 6, seed=3)
    halves = [Stream(Numbers(11), 3, seed=3, rank=rank, ranks=2) for rank in range(2)]
    for step in range(5):
        parts = [half.batch(step) for half in halves]
        for key in ("rows", "draws"):
            assert parts[0][key] + parts[1][key] == whole.batch(step)[key]
        both = parts[0]["places"].tolist() + parts[1]["places"].tolist()
        assert both == whole.batch(step)["places"].tolist() == list(range(6 * step, 6 * step + 6))


def test_loader_workers_change_nothing() -> None:
    stream = Stream(Numbers(10), 4, seed=3, start=1)
    ahead = DataLoader(stream, batch_size=None, num_workers=2)
    for found, wanted in zip(islice(ahead, 5), islice(stream, 5), strict=True):
        assert same(found, wanted)


def test_too_few_rows_for_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="3 rows do not fill a batch of 4"):
        Stream(Numbers(3), 4, seed=0)


class Groups(Numbers):
    """Rows in three groups of different sizes."""

    def __init__(self, *counts: int) -> None:
        super().__init__(sum(counts))
        mixed = np.repeat(np.arange(len(counts)), counts)
        self.groups = np.random.default_rng(1).permutation(mixed)


@pytest.mark.parametrize("counts", [(13, 8, 3), (1, 30, 0, 2), (16,)])
def test_every_row_of_every_group_comes_exactly_once_an_epoch(counts: tuple[int, ...]) -> None:
    source = Groups(*counts)
    stream, step = Stream(source, 4, seed=3), 0
    orders = []
    for epoch in range(3):
        rows, places = [], []
        while len(rows) < len(source):
            batch = stream.batch(step)
            assert len(set(source.groups[batch["rows"]])) == 1
            assert len(batch["rows"]) <= 4
            rows += batch["rows"]
            places += batch["places"].tolist()
            step += 1
        assert sorted(rows) == list(range(len(source)))
        assert places == list(range(epoch * len(source), (epoch + 1) * len(source)))
        orders.append(rows)
    assert len({tuple(rows) for rows in orders}) == 3


def test_leftovers_of_a_group_are_spread_out() -> None:
    stream = Stream(Groups(9), 8, seed=3)
    assert sorted(len(stream.batch(step)["rows"]) for step in range(2)) == [4, 5]


def test_ranks_share_the_batches_of_groups_out_among_them() -> None:
    source = Groups(13, 8, 3)
    alone = Stream(source, 4, seed=3)
    ranks = [Stream(source, 4, seed=3, rank=rank, ranks=3) for rank in range(3)]
    for step in range(7):
        for rank, stream in enumerate(ranks):
            found, wanted = stream.batch(step), alone.batch(3 * step + rank)
            assert same(found, wanted)
            assert torch.equal(found["places"], wanted["places"])


def test_a_late_batch_of_groups_needs_no_walk() -> None:
    source = Groups(13, 8, 3)
    walked = list(islice(Stream(source, 4, seed=3), 40))
    assert same(Stream(source, 4, seed=3).batch(39), walked[39])
    assert not same(Stream(source, 4, seed=4).batch(39), walked[39])
