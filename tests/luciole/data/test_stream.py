"""The endless stream of batches."""

from itertools import islice

import numpy as np
import pytest

from luciole.data.stream import Batch, Stream


class Numbers:
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def gather(self, rows: np.ndarray, rng: np.random.Generator, step: int) -> Batch:
        return {"rows": rows.tolist(), "draw": rng.random(), "step": step}


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (10, 4), (7, 7)])
def test_every_row_comes_exactly_once_an_epoch(rows: int, batch: int) -> None:
    stream = Stream(Numbers(rows), batch, seed=3)
    seen = [row for step in range(3 * rows) for row in stream.batch(step)["rows"]]
    for epoch in range(3):
        assert sorted(seen[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_a_batch_depends_on_the_seed_and_the_step_alone() -> None:
    walked = list(islice(Stream(Numbers(10), 4, seed=3), 9))
    assert Stream(Numbers(10), 4, seed=3).batch(8) == walked[8]
    assert next(iter(Stream(Numbers(10), 4, seed=3, start=8))) == walked[8]
    assert Stream(Numbers(10), 4, seed=4).batch(8) != walked[8]


def test_too_few_rows_for_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="3 rows do not fill a batch of 4"):
        Stream(Numbers(3), 4, seed=0)
