"""Which rows the batches of an endless stream hold, known for any batch without walking there."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Places = NDArray[np.int64]


class Order(Protocol):
    """Deals out every row exactly once an epoch."""

    def turn(self, number: int) -> tuple[Rows, Places]:
        """The rows of one batch of the stream and the place that each has in the stream.

        No two samples of a stream share a place; epoch e has the places from e times the number
        of rows on.
        """
        ...


class Shuffled:
    """All rows anew in each epoch; batches are always full, so one may span two epochs."""

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self._epoch: tuple[int, Rows] = (-1, np.empty(0, np.int64))

    def turn(self, number: int) -> tuple[Rows, Places]:
        """Places follow each other without a gap."""
        places = np.arange(number * self._batch_size, (number + 1) * self._batch_size)
        return np.array([self._row(int(place)) for place in places]), places

    def _row(self, place: int) -> int:
        epoch, offset = divmod(place, self._rows)
        if self._epoch[0] != epoch:
            order = np.random.default_rng((self._seed, 0, epoch)).permutation(self._rows)
            self._epoch = (epoch, order)
        return int(self._epoch[1][offset])


class Bucketed:
    """All rows anew in each epoch, in batches whose rows all belong to the same group.

    A group's rows are cut into as few batches as hold them, all of the same size give or take
    one: the leftovers are spread out. So no row is dropped, repeated or kept for the next epoch,
    no batch spans two epochs, and every epoch has the same number of batches, in an order of its
    own. Only a group of fewer rows than a batch makes a batch that is much smaller.
    """

    def __init__(self, groups: NDArray[np.integer], batch_size: int, seed: int) -> None:
        self._groups, self._seed = groups, seed
        counts = np.bincount(groups)
        self._sizes = np.concatenate([_even(int(count), batch_size) for count in counts])
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._epoch: tuple[int, Rows, Rows, Places] = (-1, *(np.empty(0, np.int64),) * 3)

    @property
    def batches(self) -> int:
        """In an epoch."""
        return len(self._sizes)

    def turn(self, number: int) -> tuple[Rows, Places]:
        """Places follow each other within an epoch in the order of its batches."""
        epoch, index = divmod(number, self.batches)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, *self._deal(epoch))
        _, rows, batches, firsts = self._epoch
        batch = batches[index]
        start, size = self._starts[batch], self._sizes[batch]
        place = epoch * len(self._groups) + firsts[index]
        return rows[start : start + size], np.arange(place, place + size)

    def _deal(self, epoch: int) -> tuple[Rows, Rows, Places]:
        """Shuffled rows, group after group; the batches' order; where each of them begins."""
        chance = np.random.default_rng((self._seed, 0, epoch))
        shuffled = chance.permutation(len(self._groups))
        rows = shuffled[np.argsort(self._groups[shuffled], kind="stable")]
        batches = chance.permutation(self.batches)
        sizes = self._sizes[batches]
        return rows, batches, np.cumsum(sizes) - sizes


def _even(count: int, limit: int) -> Rows:
    """`count` in as few parts of at most `limit` as there can be, the larger ones first."""
    parts = -(-count // limit)
    return np.array([len(part) for part in np.array_split(np.empty(count, bool), parts or 1)])[
        :parts
    ]
