"""Which checkpoint is best, and why: picked on held-out data that never changes."""

import json
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch

from luciole.diffusion.ema import trainable
from luciole.diffusion.sharded import put, whole
from training.average import WeightAverage
from training.checkpoint import write_whole


class Best(pl.Callback):
    """Keeps `folder/best.ckpt`, the averaged weights of the best validation, and `best.json`.

    Only what trains is kept, with all buffers: of an adapter that is little.
    """

    def __init__(self, folder: str, metric: str, mode: Literal["min", "max"] = "min") -> None:
        self.file, self.metric, self.mode = Path(folder) / "best.ckpt", metric, mode
        self.step = 0
        self.value: float | None = None
        self._count, self._last = 0, 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise KeyError where the validation does not measure the configured metric."""
        if trainer.sanity_checking:
            return
        if self.metric not in trainer.callback_metrics:
            known = ", ".join(key for key in trainer.callback_metrics if key.startswith("val/"))
            raise KeyError(
                f"callbacks.best.metric: {self.metric} is not measured; there is {known}"
            )
        self._last = float(trainer.callback_metrics[self.metric])
        self._count += 1
        better = self.value is None or (
            self._last < self.value if self.mode == "min" else self._last > self.value
        )
        if better:
            self.step, self.value = trainer.global_step, self._last
        if better:
            self._keep(trainer, pl_module)
        if trainer.is_global_zero:
            self._say()

    def _keep(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        average = next(each for each in _callbacks(trainer) if isinstance(each, WeightAverage))
        with average.applied():
            weights = {name: whole(p.detach()) for name, p in trainable(pl_module).items()}
        if trainer.is_global_zero:
            weights |= dict(pl_module.named_buffers())
            write_whole({"step": self.step, "value": self.value, "weights": weights}, self.file)

    def _say(self) -> None:
        facts = {
            "metric": self.metric,
            "mode": self.mode,
            "step": self.step,
            "value": self.value,
            "validations": self._count,
            "last_value": self._last,
            "why": self.why(),
        }
        part = self.file.with_suffix(".json.part")
        part.write_text(json.dumps(facts, indent=1) + "\n")
        part.replace(self.file.with_suffix(".json"))

    def why(self) -> str:
        """One sentence for people."""
        word = "lowest" if self.mode == "min" else "highest"
        many = f"{word} of {self._count} validations" if self._count > 1 else "the only validation"
        return (
            f"{self.metric} {self.value:.6g} at step {self.step}, {many}; "
            f"the last had {self._last:.6g}"
        )

    @torch.no_grad()
    def put_into(self, task: pl.LightningModule) -> None:
        """The kept weights take the place of the last ones.

        Raises FileNotFoundError where no validation has come yet.
        """
        if self.value is None:
            raise FileNotFoundError(f"write: best: {self.file}: there was no validation yet")
        kept = torch.load(self.file, map_location="cpu", weights_only=True)
        self.step, self.value = kept["step"], kept["value"]
        places = {**dict(task.named_parameters()), **dict(task.named_buffers())}
        for name, weight in kept["weights"].items():
            put(places[name], weight)

    def state_dict(self) -> dict[str, Any]:
        """Into the checkpoint."""
        return {
            "step": self.step,
            "value": self.value,
            "count": self._count,
            "last": self._last,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on comparing."""
        self.step, self.value = state_dict["step"], state_dict["value"]
        self._count, self._last = state_dict["count"], state_dict["last"]


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    every: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return every
