"""Endless batches in which each sample depends on the seed and its place alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

Batch = Mapping[str, Any]
Chances = Sequence[np.random.Generator]
"""One random generator for each row of a batch."""


class Source(Protocol):
    """Rows that can be gathered into a batch."""

    def __len__(self) -> int: ...

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """One batch of the given rows; `chances[i]` chooses crop, wording and the like of row i."""
        ...


class Stream(IterableDataset[Batch]):
    """Goes on from any step without replaying what came before: resuming costs nothing.

    Every epoch is its own permutation of all rows, so each row is seen once an epoch. Of `ranks`
    processes each takes its part of a step's places, so that together they see what one process
    with `ranks` times the batch would; loader workers take turns, step by step.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if batch_size * ranks > len(source):
            raise ValueError(
                f"data: {len(source)} rows do not fill a batch of {batch_size * ranks}"
            )
        self.source, self.batch_size, self.seed, self.start = source, batch_size, seed, start
        self.rank, self.ranks = rank, ranks
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def batch(self, step: int) -> Batch:
        """The batch of one step; beside what the source gives, `places` int64 [n] in the stream."""
        first = (step * self.ranks + self.rank) * self.batch_size
        places = range(first, first + self.batch_size)
        rows = np.array([self._row(place) for place in places])
        chances = [np.random.default_rng((self.seed, 1, place)) for place in places]
        return {**self.source.gather(rows, chances, step), "places": torch.tensor(places)}

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        step, stride = self.start, 1
        if worker is not None:
            step, stride = self.start + worker.id, worker.num_workers
        while True:
            yield self.batch(step)
            step += stride

    def _row(self, place: int) -> int:
        epoch, offset = divmod(place, len(self.source))
        if self._order[0] != epoch:
            order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.source))
            self._order = (epoch, order)
        return int(self._order[1][offset])
