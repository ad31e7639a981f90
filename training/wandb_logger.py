"""Weights & Biases, with or without an account."""

import hashlib
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(project: str, name: str, save_dir: str) -> WandbLogger:
    """Offline where WANDB_API_KEY is not set; `wandb sync` sends the run later.

    A resumed run goes on with its own curve: its id is that of its folder.
    """
    offline = "WANDB_API_KEY" not in os.environ
    run = hashlib.sha256(str(Path(save_dir).resolve()).encode()).hexdigest()[:16]
    # Said to the run itself: the environment is read once in a process.
    mode: dict[str, Any] = {"mode": "offline"} if offline else {"resume": "allow"}
    return WandbLogger(
        name=name, project=project, save_dir=save_dir, offline=offline, id=run, **mode
    )
