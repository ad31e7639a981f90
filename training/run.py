"""One run from its configuration to what it leaves behind."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from training.card import leave
from training.checkpoint import AtomicCheckpoints, check_resumed
from training.precision import best_precision

FINISHED = "finished"
"""The file in a run's folder that says that all its steps are done."""
log = logging.getLogger("training")


def resolved(config: DictConfig) -> DictConfig:
    """The same configuration, every reference in it replaced by its value."""
    OmegaConf.register_new_resolver("best_precision", best_precision, replace=True)
    OmegaConf.resolve(config)
    return config


def train(config: DictConfig) -> Path:
    """Train, then write the weights; return the folder that holds them.

    With `resume: auto` a run goes on from its own last checkpoint, where there is one. Raises
    BadCheckpoint before the first step where that does not fit.
    """
    resolved(config)
    pl.seed_everything(config.seed, verbose=False)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    built: dict[str, Any] = {
        part: instantiate(config[part], _convert_="all")
        for part in ("data", "task", "logger", "callbacks")
    }
    task, callbacks = built["task"], built["callbacks"].values()
    trainer = instantiate(
        config.trainer,
        callbacks=[each for each in callbacks if each is not None],
        logger=built["logger"],
        plugins=[AtomicCheckpoints()],
    )
    run, folder = Path(config.run), Path(config.models)
    resumed = last_checkpoint(config)
    if resumed:
        check_resumed(resumed, task)
    if config.compile:
        compile_parts(task)
    with closing_logs(trainer):
        for logger in trainer.loggers:
            logger.log_hyperparams(OmegaConf.to_container(config))
        if trainer.is_global_zero:
            run.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(config, run / "config.yaml")
        trainer.fit(task, built["data"], ckpt_path=resumed, weights_only=False)
        trainer.save_checkpoint(run / "last.ckpt")
        leave(config, trainer, folder)
        if trainer.is_global_zero and trainer.global_step >= trainer.max_steps:
            (run / FINISHED).touch()
        trainer.strategy.barrier()
    return folder


@contextmanager
def closing_logs(trainer: pl.Trainer) -> Iterator[None]:
    """A run of Weights & Biases ends with its training; a sweep's next one is a run of its own."""
    try:
        yield
    finally:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger) and trainer.is_global_zero:
                logger.experiment.finish()


def compile_parts(task: nn.Module) -> None:
    """The forward pass of each part that trains; the names of weights stay as they are."""
    for part in task.children():
        if any(weight.requires_grad for weight in part.parameters()):
            part.compile()


def last_checkpoint(config: DictConfig) -> Path | None:
    """What the run goes on from."""
    last = Path(config.run) / "last.ckpt"
    return last if config.resume == "auto" and last.exists() else None
