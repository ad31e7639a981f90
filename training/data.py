"""Hands batches to Lightning and remembers how many it has given."""

from typing import Any

import lightning.pytorch as pl
from torch.utils.data import DataLoader, Dataset

from luciole.data.stream import Batch, Source, Stream


class StepData(pl.LightningDataModule):
    """Training as one endless stream; validation as the same few held-out batches every time.

    `batch_size` is one process's; with `workers` other processes gather the batches ahead.
    """

    def __init__(
        self,
        train: Source,
        held_out: Source,
        batch_size: int,
        held_out_batches: int,
        seed: int,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self._train, self._batch_size, self._seed = train, batch_size, seed
        self._held_out = Stream(held_out, min(batch_size, len(held_out)), seed)
        self._held_out_batches, self._workers = held_out_batches, workers
        self._start = 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Starts where the last checkpoint stopped."""
        rank, ranks = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        stream = Stream(self._train, self._batch_size, self._seed, self._start, rank, ranks)
        return DataLoader(stream, batch_size=None, num_workers=self._workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """A fixed set."""
        return DataLoader(First(self._held_out, self._held_out_batches), batch_size=None)

    def first_held_out(self) -> Batch:
        """The batch that sample grids show."""
        return self._held_out.batch(0)

    def provenance(self) -> dict[str, Any]:
        """What a card says of the pictures that were learned from and held out."""
        return {
            "train": self._train.provenance(),
            "held_out": self._held_out.source.provenance(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Called by the checkpoint, after a whole step."""
        trainer = self.trainer
        if trainer is None:
            return {"batches": self._start}
        return {"batches": trainer.global_step * trainer.accumulate_grad_batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called on resuming, before the first loader is made."""
        self._start = int(state_dict["batches"])


class First(Dataset[Batch]):
    """The first `count` batches of a stream."""

    def __init__(self, stream: Stream, count: int) -> None:
        self.stream, self.count = stream, count

    def __getitem__(self, step: int) -> Batch:
        return self.stream.batch(step)

    def __len__(self) -> int:
        return self.count
