"""How fast a run goes, how long it has taken, and at which learning rate it is."""

import time
from typing import Any

import lightning.pytorch as pl
import numpy as np
from numpy.typing import NDArray

from luciole.data.stream import Batch


class Pace(pl.Callback):
    """Logs throughput and learning rates with each step; counts hours and samples over resumes.

    Validation and the writing of checkpoints count as hours, not against the throughput.
    """

    def __init__(self) -> None:
        self.seconds, self.samples = 0.0, 0
        self._entered = time.monotonic()
        self._since, self._window = _clocks(), np.zeros(2)
        self._drawn = 0

    @property
    def hours(self) -> float:
        """Of training, up to now."""
        return self.seconds / 3600

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The clock starts."""
        self._entered, self._since = time.monotonic(), _clocks()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        *_: Any,
    ) -> None:
        """`train/samples_per_second` since the last row, of all ranks together.

        `train/samples_per_cpu_second` is this process's own: it tells what a change is worth on a
        machine that is shared.
        """
        now, mine = _clocks(), len(batch["places"])
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._window, self._since = self._window + now - self._since, now
        self._drawn, self.samples = self._drawn + mine, self.samples + mine * trainer.world_size
        if trainer.global_step % every == 0:
            wall, cpu = np.maximum(self._window, 1e-9)
            pl_module.log("train/samples_per_second", self._drawn * trainer.world_size / wall)
            pl_module.log("train/samples_per_cpu_second", self._drawn / cpu)
            self._window, self._drawn = np.zeros(2), 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Hours go on; the rates are those that this step uses."""
        self._count()
        for index, group in enumerate(trainer.optimizers[0].param_groups):
            name = f"train/learning_rate{f'_{index + 1}' if index else ''}"
            pl_module.log(name, group["lr"])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The throughput is that of training alone."""
        self._since = _clocks()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last of the hours."""
        self._count()

    def _count(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._entered
        self._entered = now

    def state_dict(self) -> dict[str, float | int]:
        """Into the checkpoint."""
        self._count()
        return {"seconds": self.seconds, "samples": self.samples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        self.seconds, self.samples = state_dict["seconds"], state_dict["samples"]


def _clocks() -> NDArray[np.float64]:
    """Seconds on the wall, and of this process's CPU time."""
    return np.array([time.monotonic(), time.process_time()])
