"""Keeps the moving average of a task's weights beside them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from luciole.diffusion.ema import Ema


class WeightAverage(pl.Callback):
    """Validation, samples and the written weights use the average; training does not."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.ema: Ema | None = None
        self._resumed: dict[str, Any] | None = None
        self._inside = ExitStack()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The module is on its device by now."""
        self.ema = Ema(pl_module, self.decay)
        self._go_on()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Once a step, not once an accumulated batch."""
        if self.ema and trainer.global_step > self.ema.steps:
            self.ema.update()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Average in."""
        if self.ema:
            self._inside.enter_context(self.ema.applied())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Average out."""
        self._inside.close()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """For whoever writes the weights after training."""
        if self.ema is None:
            raise RuntimeError("average: nothing was trained yet")
        with self.ema.applied():
            yield

    def state_dict(self) -> dict[str, Tensor | int]:
        """Into the checkpoint."""
        return self.ema.state_dict() if self.ema else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until the module is there; where weights are shared out, it is there already."""
        self._resumed = state_dict or None
        self._go_on()

    def _go_on(self) -> None:
        if self.ema is not None and self._resumed is not None:
            self.ema.load_state_dict(self._resumed)
            self._resumed = None
