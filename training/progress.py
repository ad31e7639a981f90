"""The progress bar of a run that counts steps, not epochs."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar


class StepBar(TQDMProgressBar):
    """Goes to the last step of the whole run, also after it was resumed."""

    @property
    def total_train_batches(self) -> int:
        """All batches of the run, not those that are left."""
        return self.trainer.max_steps * self.trainer.accumulate_grad_batches

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        """Measure the speed from here on, not from the steps of earlier starts."""
        super().on_train_epoch_start(trainer, *args)
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        self.train_progress_bar.initial = done
        self.train_progress_bar.set_description("training")
