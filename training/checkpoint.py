"""Checkpoints that a killed run goes on from as if it had never been killed."""

import os
import pickle
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, distributed


class BadCheckpoint(ValueError):
    """A checkpoint that this run cannot go on from; names the file and what is wrong in it."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the file, then renames: a kill while writing leaves the last one whole.

    Lightning writes to the system's temporary folder and moves, which is a copy where that is
    another file system.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Also through a loss of power: the bytes are on the disk before the name is."""
        write_whole(checkpoint, Path(path))


def write_whole(content: Any, file: Path) -> None:
    """`torch.save` that leaves either the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


class LastCheckpoint(Checkpoint):
    """Keeps `folder/last.ckpt`, written between two steps every few minutes or steps.

    Not at the end of a step: Lightning logs and validates after that, and a run that goes on from
    there would do neither.
    """

    def __init__(
        self, folder: str, minutes: float | None = 3.0, every_n_steps: int | None = None
    ) -> None:
        self.file = Path(folder) / "last.ckpt"
        self._minutes, self._every = minutes, every_n_steps
        self._due = False
        self._saved = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The minutes begin."""
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """After a whole step, not after an accumulated batch; all ranks decide as the first."""
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if batches % trainer.accumulate_grad_batches:
            return
        late = self._minutes is not None and (time.monotonic() - self._saved >= 60 * self._minutes)
        late = bool(trainer.strategy.broadcast(late))
        self._due = late or bool(self._every and trainer.global_step % self._every == 0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Where the step was followed by a validation."""
        if self._due and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Where it was not. Lightning's own count of steps for loggers is off after a restart."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        if self._due:
            with _before_this_batch(trainer):
                self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.file)
        self._due = False
        self._saved = time.monotonic()


@contextmanager
def _before_this_batch(trainer: pl.Trainer) -> Iterator[None]:
    """The loop has counted the batch as ready; a resumed run will do so itself."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    progress.total.ready -= 1
    progress.current.ready -= 1
    try:
        yield
    finally:
        progress.increment_ready()


class Chance(pl.Callback):
    """Carries the states of the global random generators, each rank its own.

    The tasks draw by sample and do not need it; layers of the libraries (dropout) do.
    """

    def __init__(self) -> None:
        self._resumed: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Of all ranks: every rank calls this when a checkpoint is written."""
        mine = {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),
            "numpy": np.random.get_state(),  # noqa: NPY002
            "python": random.getstate(),
        }
        if not (distributed.is_available() and distributed.is_initialized()):
            return {"ranks": [mine]}
        ranks: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(ranks, mine)
        return {"ranks": ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until training begins."""
        self._resumed = state_dict["ranks"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Loaders have generators of their own: nothing draws between here and the first step.

        A run that goes on with more ranks than it had leaves the new ones as they are seeded.
        """
        if self._resumed is None or trainer.global_rank >= len(self._resumed):
            return
        mine = self._resumed[trainer.global_rank]
        torch.set_rng_state(mine["torch"].cpu())
        if len(mine["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([state.cpu() for state in mine["cuda"]])
        np.random.set_state(mine["numpy"])  # noqa: NPY002
        random.setstate(mine["python"])


def check_resumed(file: Path, task: pl.LightningModule) -> None:
    """Raise BadCheckpoint where a run with this task cannot go on from the file."""
    content = read_checkpoint(file)
    check_weights(file, content["state_dict"], task.state_dict())
    saved = content["optimizer_states"][0]["param_groups"]
    asked = task.groups()  # type: ignore[operator]
    if [len(group["params"]) for group in saved] != [len(group["params"]) for group in asked]:
        raise BadCheckpoint(
            f"{file}: optimizer_states: other weights were trained than the configuration trains"
        )


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Everything in it, on the CPU; raise BadCheckpoint where it cannot be read."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=False)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise BadCheckpoint(
            f"{file}: cannot be read ({error}); begin anew with resume=false"
        ) from error
    for key in ("state_dict", "optimizer_states", "callbacks", "loops"):
        if key not in content:
            raise BadCheckpoint(f"{file}: {key} is missing; this is not a checkpoint of a run")
    return content


def check_weights(file: Path, held: Mapping[str, Tensor], asked: Mapping[str, Tensor]) -> None:
    """Raise BadCheckpoint naming the first key that is missing, extra or of another shape."""
    for name, weight in asked.items():
        if name not in held:
            raise BadCheckpoint(f"{file}: {name} is missing; the configuration asks for it")
        if held[name].shape != weight.shape:
            found, wanted = tuple(held[name].shape), tuple(weight.shape)
            raise BadCheckpoint(f"{file}: {name} has shape {found}, the configuration {wanted}")
    extra = sorted(set(held) - set(asked))
    if extra:
        raise BadCheckpoint(f"{file}: nothing in the configuration has a place for {extra[0]}")
