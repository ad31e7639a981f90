"""Weights & Biases, with or without an account."""

import os

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(project: str, name: str, save_dir: str) -> WandbLogger:
    """Offline where WANDB_API_KEY is not set; `wandb sync` sends the run later."""
    offline = "WANDB_API_KEY" not in os.environ
    return WandbLogger(name=name, project=project, save_dir=save_dir, offline=offline)
