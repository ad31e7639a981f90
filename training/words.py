"""Text encoders that tell apart what the world tells apart.

Contrast with pictures (CLIP) teaches colours and places long before it teaches actions, and a
denoiser follows no word whose states hardly differ from another's. Here the states themselves must
say what a caption is about.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from luciole.data.stream import Batch
from luciole.models.text import TextConditions
from training.task import Task


class WordsTask(Task):
    """Linear readings of every kind of attribute, from the states' mean and from the summary.

    The readings are thrown away afterwards; `classes` names the values of each kind.
    """

    def __init__(
        self, conditions: TextConditions, classes: Mapping[str, Sequence[str]], **training: Any
    ) -> None:
        super().__init__(**training)
        self.conditions = conditions.train().requires_grad_(True)
        self.kinds = {kind: len(values) for kind, values in classes.items()}
        encoders: Any = conditions
        first, second = encoders.text_encoder.config, encoders.text_encoder_2.config
        width, summary = first.hidden_size + second.hidden_size, second.projection_dim
        self.readings = nn.ModuleList(
            nn.Linear(size, sum(self.kinds.values())) for size in (width, summary)
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean of both readings' cross entropies over all kinds."""
        losses = [self._loss(scores, batch["labels"]) for scores in self._scores(batch)]
        loss = torch.stack(losses).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """How often the mean state gives the value of a held-out scene, by kind and over all."""
        hits = []
        scores = torch.split(self._scores(batch)[0], list(self.kinds.values()), dim=1)
        for row, (kind, values) in enumerate(zip(self.kinds, scores, strict=True)):
            hits.append((values.argmax(dim=1) == batch["labels"][:, row]).float().mean())
            self.log(f"val/{kind}", hits[-1], batch_size=1)
        self.log("val/accuracy", torch.stack(hits).mean(), prog_bar=True, batch_size=1)

    def _scores(self, batch: Batch) -> list[Float[Tensor, "n values"]]:
        states, summary = self.conditions(batch["captions"])
        return [self.readings[0](states.mean(dim=1)), self.readings[1](summary)]

    def _loss(
        self, scores: Float[Tensor, "n values"], labels: Int64[Tensor, "n kind"]
    ) -> Float[Tensor, ""]:
        kinds = torch.split(scores.float(), list(self.kinds.values()), dim=1)
        parts = [cross_entropy(values, labels[:, row]) for row, values in enumerate(kinds)]
        return torch.stack(parts).mean()

    def write(self, folder: Path) -> None:
        """`text_encoder/` and `text_encoder_2/` in place of those it began with."""
        encoders: Any = self.conditions
        encoders.text_encoder.save_pretrained(folder / "text_encoder")
        encoders.text_encoder_2.save_pretrained(folder / "text_encoder_2")

    def written(self, folder: Path) -> Path:
        """Beside the parts of other runs."""
        return folder / "text_encoder"

    def usage(self, folder: Path) -> str:
        """The denoiser has to learn these states."""
        return f"python -m training experiment=pocket_base models={folder} task.text_rate=1"
