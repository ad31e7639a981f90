"""Keeps long averages of a task's weights, from which others can be made after the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from safetensors.torch import save_file

from luciole.diffusion.ema_profiles import PowerAverage, Profile

AVERAGES = "averages"
"""The folder of a run that holds its snapshots."""


class WeightProfiles(pl.Callback):
    """Writes `folder/<step>-<sigma_rel>.safetensors`, fp16, every so many steps and at the end.

    Of the weights that train, by their names in the task; `python -m training.posthoc` reads them.
    """

    def __init__(
        self, folder: str, every_n_steps: int, sigma_rels: Sequence[float] = (0.05, 0.1)
    ) -> None:
        self.folder, self.every, self.sigma_rels = Path(folder), every_n_steps, list(sigma_rels)
        self._averages: list[PowerAverage] = []
        self._resumed: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The module is on its device by now; raise ValueError where a resumed run had others."""
        self._averages = [PowerAverage(pl_module, sigma_rel) for sigma_rel in self.sigma_rels]
        self._go_on()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Once a step, not once an accumulated batch."""
        for average in self._averages:
            if trainer.global_step > average.steps:
                average.update()
                if average.steps % self.every == 0 or average.steps == trainer.max_steps:
                    self._write(trainer, average)

    def _write(self, trainer: pl.Trainer, average: PowerAverage) -> None:
        averages = average.whole()
        if not trainer.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / snapshot(Profile(average.sigma_rel, average.steps))
        part = file.with_suffix(".part")
        save_file({n: a.to(torch.float16) for n, a in averages.items()}, part)
        part.replace(file)

    def state_dict(self) -> dict[str, Any]:
        """Into the checkpoint."""
        return {str(average.sigma_rel): average.state_dict() for average in self._averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until the module is there; where weights are shared out, it is there already."""
        self._resumed = state_dict
        self._go_on()

    def _go_on(self) -> None:
        if self._resumed and set(self._resumed) != {str(s) for s in self.sigma_rels}:
            raise ValueError(f"profiles.sigma_rels: the run began with {sorted(self._resumed)}")
        for average in self._averages if self._resumed else ():
            average.load_state_dict(self._resumed[str(average.sigma_rel)])


def snapshot(profile: Profile) -> str:
    """The file's name."""
    return f"{profile.step:07}-{profile.sigma_rel}.safetensors"


def snapshots(folder: Path) -> dict[Profile, Path]:
    """All that a run has left; raise FileNotFoundError where there are none."""
    files = sorted(folder.glob("*-*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: holds no averages; train with callbacks.profiles")
    told = [file.stem.split("-", maxsplit=1) for file in files]
    return {Profile(float(s), int(t)): file for (t, s), file in zip(told, files, strict=True)}
