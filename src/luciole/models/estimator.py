"""Reads a condition from a picture again: where the joints are, and how near things are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu, softmax

JOINTS = 18
CELL = 4
"""Pixels a side of what one place of the answer stands for."""


class ConditionEstimator(nn.Module):
    """A small U-Net over pictures in -1..1; `widths` are the channels after each halving."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        if len(self.widths) < 3:
            raise ValueError("widths: the estimator needs three halvings or more")
        pairs = zip([3, *self.widths[:-1]], self.widths, strict=True)
        self.down = nn.ModuleList([_Block(wide, out, stride=2) for wide, out in pairs])
        upward = zip(self.widths[:1:-1], self.widths[-2:0:-1], strict=True)
        self.up = nn.ModuleList([_Block(deep + wide, wide, stride=1) for deep, wide in upward])
        self.head = nn.Conv2d(self.widths[1], JOINTS + 1, 1)

    def forward(
        self, pictures: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n 18 h/4 w/4"], Float[Tensor, "n h/4 w/4"]]:
        """Logits of each joint's place, and nearness in 0..1, for each cell of 4 x 4 pixels."""
        levels = []
        features = pictures
        for block in self.down:
            features = block(features)
            levels.append(features)
        for block, beside in zip(self.up, levels[-2:0:-1], strict=True):
            wide = interpolate(features, scale_factor=2.0)
            features = block(torch.cat([wide, beside], dim=1))
        found = self.head(features)
        return found[:, :JOINTS], found[:, JOINTS].sigmoid()

    @torch.no_grad()
    def read(
        self, pictures: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n 18 2"], Float[Tensor, "n h/4 w/4"]]:
        """Each joint's x and y in pixels, the likeliest place of one person, and nearness."""
        scores, nearness = self(pictures)
        return CELL * (likeliest(scores) + 0.5), nearness

    def save(self, folder: Path) -> None:
        """`model.safetensors` and `config.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.contiguous() for name, weight in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"widths": self.widths}) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """In evaluation mode, in fp32; a key too many or too few is an error."""
        if not (folder / "config.json").exists():
            raise FileNotFoundError(
                f"{folder}: no estimator there; train one: "
                "python -m training experiment=pocket_estimator"
            )
        model = cls(**json.loads((folder / "config.json").read_text("utf-8")))
        weights = load_file(folder / "model.safetensors")
        model.load_state_dict({name: weight.float() for name, weight in weights.items()})
        return model.eval()


class _Block(nn.Module):
    """Two convolutions; the second adds to the first."""

    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(wide, out, 2 + stride, stride=stride, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, out) for _ in range(2)])

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d u v"]:
        features = self.first(features)
        features = silu(self.norms[0](features))
        result: Tensor = features + silu(self.norms[1](self.second(features)))
        return result


def likeliest(scores: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k 2"]:
    """x and y in cells: the mean over the 5 x 5 cells about the highest."""
    height, width = scores.shape[-2:]
    chances = softmax(scores.float().flatten(2), dim=-1)
    best = chances.argmax(dim=-1, keepdim=True)
    places = torch.arange(height * width, device=scores.device)
    y, x = places // width, places % width
    near = ((y - best // width).abs() <= 2) & ((x - best % width).abs() <= 2)
    weights = chances * near
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return torch.stack([(weights * x).sum(-1), (weights * y).sum(-1)], dim=-1)


def correct_joints(
    found: Float[Tensor, "n k 2"], truth: Float[Tensor, "n k 3"], share: float = 0.1
) -> tuple[Bool[Tensor, "n k"], Bool[Tensor, "n k"]]:
    """Which are found, and which count: PCK is the share of the first among the second.

    A joint is found within `share` of the longer side of the box about the person's visible joints.
    """
    visible = truth[..., 2] > 0
    inside = visible[..., None]
    far = torch.finfo(truth.dtype).max
    low = truth[..., :2].masked_fill(~inside, far).amin(dim=1)
    high = truth[..., :2].masked_fill(~inside, -far).amax(dim=1)
    reach = share * (high - low).amax(dim=-1)
    distance = (found - truth[..., :2]).norm(dim=-1)
    return (distance <= reach[:, None]) & visible, visible


def correlation(
    first: Float[Tensor, "n h w"], second: Float[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Pearson's, of each pair of maps; 0 where one of them is flat."""
    a, b = (part.flatten(1) - part.flatten(1).mean(dim=1, keepdim=True) for part in (first, second))
    alike: Tensor = (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)
    return alike
