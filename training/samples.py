"""Sample grids while a run goes on: the fastest way to see that it learns."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import move_data_to_device
from PIL import Image
from torch import Tensor

from training.data import StepData


class SampleGrids(pl.Callback):
    """Writes `folder/<step>.png` after validation, drawn from the first held-out batch."""

    def __init__(self, folder: str, rows: int, every_n_validations: int = 1) -> None:
        self.folder, self.rows, self.every = Path(folder), rows, every_n_validations
        self._seen = 0

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The averaged weights are in place at this point."""
        self._seen += 1
        if trainer.sanity_checking or self._seen % self.every:
            return
        data: StepData = trainer.datamodule  # type: ignore[attr-defined]
        batch = move_data_to_device(data.first_held_out(), pl_module.device)
        task: Any = pl_module
        pictures = task.samples(batch)
        self.folder.mkdir(parents=True, exist_ok=True)
        sheet = grid(pictures, self.rows)
        sheet.save(self.folder / f"{trainer.global_step:07}.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("samples", [sheet])


def grid(pictures: Float[Tensor, "n 3 h w"], rows: int) -> Image.Image:
    """Pictures in -1..1, row by row, `n / rows` in each."""
    _, channels, height, width = pictures.shape
    columns = len(pictures) // rows
    tiles = pictures[: rows * columns].reshape(rows, columns, channels, height, width)
    sheet = tiles.permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    pixels = ((sheet.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.cpu().numpy())
