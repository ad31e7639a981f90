"""Hands batches to Lightning and remembers how many it has given."""

from typing import Any

import lightning.pytorch as pl
from torch.utils.data import DataLoader, Dataset

from luciole.data.stream import Batch, Source, Stream


class StepData(pl.LightningDataModule):
    """Training as one endless stream; validation as the same few held-out batches every time."""

    def __init__(
        self, train: Source, held_out: Source, batch_size: int, held_out_batches: int, seed: int
    ) -> None:
        super().__init__()
        self.stream = Stream(train, batch_size, seed)
        self._held_out = Stream(held_out, min(batch_size, len(held_out)), seed)
        self._held_out_batches = held_out_batches

    def train_dataloader(self) -> DataLoader[Batch]:
        """Starts where the last checkpoint stopped."""
        return DataLoader(self.stream, batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """A fixed set."""
        return DataLoader(First(self._held_out, self._held_out_batches), batch_size=None)

    def first_held_out(self) -> Batch:
        """The batch that sample grids show."""
        return self._held_out.batch(0)

    def state_dict(self) -> dict[str, Any]:
        """Called by the checkpoint, after a whole step."""
        trainer = self.trainer
        if trainer is None:
            return {"batches": self.stream.start}
        return {"batches": trainer.global_step * trainer.accumulate_grad_batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called on resuming, before the first loader is made."""
        self.stream.start = int(state_dict["batches"])


class First(Dataset[Batch]):
    """The first `count` batches of a stream."""

    def __init__(self, stream: Stream, count: int) -> None:
        self.stream, self.count = stream, count

    def __getitem__(self, step: int) -> Batch:
        return self.stream.batch(step)

    def __len__(self) -> int:
        return self.count
