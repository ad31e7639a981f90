"""The whole denoiser, from nothing or from weights that are there."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from luciole.data.stream import Batch
from luciole.models.folder import save_folder
from luciole.models.text import TextConditions
from training.diffusion import DiffusionTask


class DenoiserTask(DiffusionTask):
    """Learns the denoiser, and the text encoders along with it at `text_rate` times its rate.

    The autoencoder is only carried: for sample grids, and for the folder that is written.
    """

    def __init__(
        self,
        denoiser: Any,
        conditions: TextConditions,
        rate: float,
        text_rate: float,
        **training: Any,
    ) -> None:
        super().__init__(denoiser.train(), conditions, **training)
        self.rate, self.text_rate = rate, text_rate
        if text_rate:
            self.conditions.learn()

    def groups(self) -> list[dict[str, Any]]:
        """The pre-trained text encoders move more slowly than the new denoiser."""
        groups: list[dict[str, Any]] = [{"params": list(self.denoiser.parameters())}]
        if self.text_rate:
            words = [weight for weight in self.conditions.parameters() if weight.requires_grad]
            groups.append({"params": words, "lr": self.text_rate * self.rate})
        return groups

    def words(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """With gradients where the text encoders learn."""
        if not self.text_rate:
            return super().words(batch)
        with torch.set_grad_enabled(self.training):
            states, pooled = self.conditions(batch["captions"])
        return states, pooled

    def write(self, folder: Path) -> None:
        """The whole diffusers folder, fp32."""
        save_folder(self.pipeline(), folder, half=False)
