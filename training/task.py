"""What the tasks share: how an optimizer and its learning rate reach Lightning."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from luciole.diffusion.sharded import whole
from training.sharding import shard


class Diverged(ArithmeticError):
    """A gradient is not a number; the weights are still those of the step before."""


class Task(pl.LightningModule):
    """A question that training answers; the Trainer owns devices, precision and checkpoints."""

    def __init__(
        self,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        learning_rate: Callable[[Optimizer], LRScheduler],
    ) -> None:
        super().__init__()
        self._optimizer, self._learning_rate = optimizer, learning_rate
        self._shared_out = False

    def configure_model(self) -> None:
        """With `trainer=fsdp`, share out what learns, once."""
        if self.device_mesh is not None and not self._shared_out:
            shard(self, self.device_mesh["data_parallel"])
            self._shared_out = True

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Only what trains; the learning rate moves every step."""
        optimizer = self._optimizer(self.groups())
        schedule: Any = {"scheduler": self._learning_rate(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def groups(self) -> list[dict[str, Any]]:
        """What trains, for the optimizer; a task may ask for several learning rates here."""
        return [{"params": [weight for weight in self.parameters() if weight.requires_grad]}]

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By norm, and say how large it was. Diverged where it is not finite.

        Lightning refuses this for fused optimizers because of fp16's loss scaling, which is not
        used here.
        """
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        limit = gradient_clip_val or float("inf")
        norm = whole(nn.utils.clip_grad_norm_(weights, limit, foreach=True))
        if not torch.isfinite(norm):
            raise Diverged(
                f"step {self.global_step}: the gradient's norm is {float(norm)}; go on from the "
                "last checkpoint with a lower task.optimizer.lr or with trainer.precision=32-true"
            )
        self.log("train/grad_norm", norm)

    def log(self, name: str, value: Any, *args: Any, **options: Any) -> None:
        """The mean over all ranks, so that the log of many says what one would."""
        super().log(name, value, *args, **{"sync_dist": True, **options})

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Leave the trained parts in a model folder."""

    def written(self, folder: Path) -> Path:
        """The folder among those that `write` fills which the card belongs to."""
        return folder

    def usage(self, folder: Path) -> str:
        """One line that says how to use what `write` has left."""
        return f"python -m export folder={folder}"


def frozen(module: Any) -> Any:
    """The module in evaluation mode, its weights fixed."""
    return module.eval().requires_grad_(False)
