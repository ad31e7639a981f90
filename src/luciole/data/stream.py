"""Endless batches in which each sample depends on the seed and its place alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from luciole.data.order import Bucketed, Order, Shuffled

Batch = Mapping[str, Any]
Chances = Sequence[np.random.Generator]
"""One random generator for each row of a batch."""


class Source(Protocol):
    """Rows that can be gathered into a batch."""

    def __len__(self) -> int: ...

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """One batch of the given rows; `chances[i]` chooses crop, wording and the like of row i."""
        ...

    def provenance(self) -> dict[str, Any]:
        """What a card says of the pictures: source, count, licences, opted out, content hash."""
        ...


@runtime_checkable
class Grouped(Protocol):
    """A source whose rows differ in shape: only rows of the same group fit in one batch."""

    @property
    def groups(self) -> NDArray[np.integer]:
        """The group of each row."""
        ...


class Stream(IterableDataset[Batch]):
    """Goes on from any step without replaying what came before: resuming costs nothing.

    Every epoch is its own order of all rows, so each row is seen once an epoch. Of `ranks`
    processes each takes its turn in every step. Together they see what one process would with
    `ranks` times the batch or, of a source in groups, what it would with `ranks` batches a step;
    so all have as many batches. Loader workers take turns, step by step.
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
                f"data: {len(source)} rows do not fill a batch of {batch_size * ranks}; "
                "lower data.batch_size or add pictures"
            )
        self.source, self.batch_size, self.seed, self.start = source, batch_size, seed, start
        self.rank, self.ranks = rank, ranks
        self._order: Order = (
            Bucketed(source.groups, batch_size, seed)
            if isinstance(source, Grouped)
            else Shuffled(len(source), batch_size, seed)
        )

    def batch(self, step: int) -> Batch:
        """The batch of one step; beside what the source gives, `places` int64 [n] in the stream."""
        rows, places = self._order.turn(step * self.ranks + self.rank)
        chances = [np.random.default_rng((self.seed, 1, int(place))) for place in places]
        return {**self.source.gather(rows, chances, step), "places": torch.from_numpy(places)}

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        step, stride = self.start, 1
        if worker is not None:
            step, stride = self.start + worker.id, worker.num_workers
        while True:
            yield self.batch(step)
            step += stride
