"""What a picture shows, learned from real renders alone."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from luciole.data.labelled import UNREADABLE
from luciole.data.stream import Batch
from luciole.models.classifier import AttributeClassifier
from training.task import Task


class ClassifierTask(Task):
    """The mean over the kinds of each kind's cross entropy where it can be read.

    What is learned is written as a folder `place` beside the model.
    """

    def __init__(
        self, classifier: AttributeClassifier, place: str, use: str, **training: Any
    ) -> None:
        super().__init__(**training)
        self.classifier, self._place, self._use = classifier, place, use

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step."""
        losses = []
        for kind, scores in enumerate(self.classifier(batch["pictures"]).values()):
            labels = batch["labels"][:, kind]
            if (labels != UNREADABLE).any():
                losses.append(cross_entropy(scores.float(), labels, ignore_index=UNREADABLE))
        loss = torch.stack(losses).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accuracy on held-out renders, by kind and over all."""
        hits = []
        for kind, (name, scores) in enumerate(self.classifier(batch["pictures"]).items()):
            labels = batch["labels"][:, kind]
            right = (scores.argmax(dim=1) == labels)[labels != UNREADABLE].float()
            self.log(f"val/{name}", right.mean(), batch_size=len(right))
            hits.append(right)
        every = torch.cat(hits)
        self.log("val/accuracy", every.mean(), prog_bar=True, batch_size=len(every))

    def write(self, folder: Path) -> None:
        """Beside the model: it belongs to the world, not to one model."""
        self.classifier.save(self.written(folder))

    def written(self, folder: Path) -> Path:
        """It is no part of the model."""
        return folder.parent / self._place

    def usage(self, folder: Path) -> str:
        """What it is for, as a command."""
        return f"{self._use}={self.written(folder)}"
