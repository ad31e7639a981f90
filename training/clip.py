"""Words that mean what pictures show: both text encoders against one image tower."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from luciole.data.stream import Batch
from luciole.models.contrastive import ContrastiveLoss
from luciole.models.tokenizer import save_tokenizer
from training.task import Task


class ClipTask(Task):
    """Each text encoder has its own loss and temperature; the image tower serves both.

    The first text encoder's projection is used here alone: SDXL's first encoder has none.
    """

    def __init__(
        self,
        tokenizer: Any,
        text_encoder: Callable[..., Any],
        text_encoder_2: Callable[..., Any],
        image_encoder: Any,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder(tokenizer=tokenizer)
        self.text_encoder_2 = text_encoder_2(tokenizer=tokenizer)
        self.image_encoder = image_encoder
        width = self.text_encoder.config.hidden_size
        self.projection = nn.Linear(width, self.image_encoder.config.projection_dim, bias=False)
        self.losses = nn.ModuleList([ContrastiveLoss(), ContrastiveLoss()])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean of both losses."""
        pictures, captions = self._embed(batch)
        losses = [loss(pictures, words) for loss, words in zip(self.losses, captions, strict=True)]
        self.log_dict({"train/loss": sum(losses) / 2, "train/loss_2": losses[1]}, prog_bar=True)
        return torch.stack(losses).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """How often a held-out picture's own caption is the nearest of the batch."""
        pictures, captions = self._embed(batch)
        own = torch.arange(len(pictures), device=pictures.device)
        for name, words in zip(("", "_2"), captions, strict=True):
            loss: Any = self.losses[1 if name else 0]
            hits = (loss.scores(pictures, words).argmax(dim=1) == own).float().mean()
            self.log(f"val/retrieval{name}", hits, prog_bar=True, batch_size=1)

    def _embed(
        self, batch: Batch
    ) -> tuple[Float[Tensor, "n d"], tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]]:
        ids = self.tokenizer(
            list(batch["captions"]), padding="longest", truncation=True, return_tensors="pt"
        ).input_ids.to(self.device)
        pictures = self.image_encoder(batch["pictures"]).image_embeds
        first = self.projection(self.text_encoder(ids).pooler_output)
        return pictures, (first, self.text_encoder_2(ids).text_embeds)

    def write(self, folder: Path) -> None:
        """`text_encoder/`, `text_encoder_2/` and their tokenizers; the image tower stays beside."""
        self.text_encoder.save_pretrained(folder / "text_encoder")
        self.text_encoder_2.save_pretrained(folder / "text_encoder_2")
        self.image_encoder.save_pretrained(folder.parent / "image_encoder")
        for name in ("tokenizer", "tokenizer_2"):
            save_tokenizer(self.tokenizer, folder / name)

    def written(self, folder: Path) -> Path:
        """Beside the parts of other runs."""
        return folder / "text_encoder"

    def usage(self, folder: Path) -> str:
        """It is one part of a model."""
        return f"python -m training experiment=pocket_base models={folder}"
