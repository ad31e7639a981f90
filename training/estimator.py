"""Joints and depth of a picture, learned from real renders alone."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, l1_loss, log_softmax

from luciole.data.stream import Batch
from luciole.models.estimator import CELL, ConditionEstimator, correct_joints, correlation
from training.task import Task


class EstimatorTask(Task):
    """Cross entropy of each visible joint's place, and the mean absolute error of nearness."""

    def __init__(self, estimator: ConditionEstimator, depth_weight: float, **training: Any) -> None:
        super().__init__(**training)
        self.estimator, self.depth_weight = estimator, depth_weight

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step."""
        scores, nearness = self.estimator(batch["pictures"])
        wanted = places(batch["keypoints"], *scores.shape[-2:])
        seen = wanted.sum(dim=-1)
        surprise = -(wanted * log_softmax(scores.float().flatten(2), dim=-1)).sum(dim=-1)
        joints = surprise.sum() / seen.sum().clamp(min=1)
        depth = l1_loss(nearness.float(), avg_pool2d(batch["depth"][:, None], CELL)[:, 0])
        self.log_dict({"train/joints": joints, "train/depth": depth})
        loss: Tensor = joints + self.depth_weight * depth
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """PCK@0.1 of pictures with one person, and the correlation of depth maps."""
        for name, value in fidelity(self.estimator, batch["pictures"], batch).items():
            self.log(f"val/{name}", value, prog_bar=True, batch_size=len(batch["pictures"]))

    def write(self, folder: Path) -> None:
        """`estimator/` beside the model: it belongs to the world, not to one model."""
        self.estimator.save(folder.parent / "estimator")

    def written(self, folder: Path) -> Path:
        """Beside the model."""
        return folder.parent / "estimator"

    def usage(self, folder: Path) -> str:
        """It measures controls."""
        return f"python -m training experiment=pocket_control_pose task.estimator.folder={folder}"


def places(
    keypoints: Float[Tensor, "n people k 3"], rows: int, columns: int, sigma: float = 0.7
) -> Float[Tensor, "n k cells"]:
    """How likely each cell holds a joint: a bell about the places of all people, of sum 1 or 0."""
    x, y, seen = keypoints.unbind(dim=-1)
    device = keypoints.device
    across = (torch.arange(columns, device=device) + 0.5) * CELL
    down = (torch.arange(rows, device=device) + 0.5) * CELL
    spread = 2 * (sigma * CELL) ** 2
    bell_x = torch.exp(-((across - x[..., None]) ** 2) / spread)
    bell_y = torch.exp(-((down - y[..., None]) ** 2) / spread)
    bells = bell_y[..., :, None] * bell_x[..., None, :] * (seen > 0)[..., None, None]
    total = bells.sum(dim=1).flatten(2)
    return total / total.sum(dim=-1, keepdim=True).clamp(min=1e-6)


def fidelity(
    estimator: ConditionEstimator, pictures: Float[Tensor, "n 3 h w"], truths: Batch
) -> dict[str, Tensor]:
    """`pck` over the first rows of one person, `depth` correlation: of pictures with conditions."""
    count = len(pictures)
    joints, nearness = estimator.read(pictures)
    keypoints: Tensor = truths["keypoints"][:count]
    alone = (keypoints[:, 1:, :, 2] > 0).sum(dim=(1, 2)) == 0
    right, counted = correct_joints(joints[alone], keypoints[alone, 0])
    truth = avg_pool2d(truths["depth"][:count, None], CELL)[:, 0]
    return {
        "pck": right.sum() / counted.sum().clamp(min=1),
        "depth": correlation(nearness.float(), truth).mean(),
    }
