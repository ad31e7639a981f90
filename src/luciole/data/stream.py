"""Endless batches in which batch `step` depends on the seed and the step alone."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

Batch = Mapping[str, Any]


class Source(Protocol):
    """Rows that can be gathered into a batch; `rng` chooses crops, wordings and the like."""

    def __len__(self) -> int: ...

    def gather(self, rows: NDArray[np.int64], rng: np.random.Generator, step: int) -> Batch:
        """One batch of the given rows."""
        ...


class Stream(IterableDataset[Batch]):
    """Goes on from any step without replaying what came before: resuming costs nothing.

    Every epoch is its own permutation of all rows, so each row is seen once an epoch.
    """

    def __init__(self, source: Source, batch_size: int, seed: int, start: int = 0) -> None:
        if batch_size > len(source):
            raise ValueError(f"data: {len(source)} rows do not fill a batch of {batch_size}")
        self.source, self.batch_size, self.seed, self.start = source, batch_size, seed, start
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        first = step * self.batch_size
        rows = [self._row(place) for place in range(first, first + self.batch_size)]
        rng = np.random.default_rng((self.seed, 1, step))
        return self.source.gather(np.array(rows), rng, step)

    def __iter__(self) -> Iterator[Batch]:
        step = self.start
        while True:
            yield self.batch(step)
            step += 1

    def _row(self, place: int) -> int:
        epoch, offset = divmod(place, len(self.source))
        if self._order[0] != epoch:
            order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.source))
            self._order = (epoch, order)
        return int(self._order[1][offset])
