"""The judge: reads a scene's attributes from a picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class AttributeClassifier(nn.Module):
    """A small convolutional net with one softmax a kind; about a million weights.

    `classes` names the values of each kind; `widths` are the channels after each halving.
    """

    def __init__(self, classes: Mapping[str, Sequence[str]], widths: Sequence[int]) -> None:
        super().__init__()
        self.classes = {kind: list(values) for kind, values in classes.items()}
        self.widths = list(widths)
        steps = zip([3, *self.widths[:-1]], self.widths, strict=True)
        self.body = nn.Sequential(*(_Halving(wide, out) for wide, out in steps))
        features = 2 * self.widths[-1]
        self.heads = nn.ModuleDict(
            {kind: nn.Linear(features, len(values)) for kind, values in self.classes.items()}
        )

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> dict[str, Float[Tensor, "n values"]]:
        """Logits by kind, of pictures in -1..1.

        The mean over the picture tells light and place; the maximum finds a hat of ten pixels.
        """
        found = self.body(pictures)
        features = torch.cat([found.mean(dim=(2, 3)), found.amax(dim=(2, 3))], dim=1)
        return {kind: head(features) for kind, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: Float[Tensor, "n 3 h w"]) -> list[dict[str, str]]:
        """The likeliest value of every kind, for each picture."""
        best = {kind: scores.argmax(dim=1).tolist() for kind, scores in self(pictures).items()}
        return [
            {kind: self.classes[kind][rows[i]] for kind, rows in best.items()}
            for i in range(len(pictures))
        ]

    def save(self, folder: Path) -> None:
        """`model.safetensors`, and `config.json` with the names of all classes."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.contiguous() for name, weight in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        config = {"classes": self.classes, "widths": self.widths}
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """In evaluation mode, in fp32; a key too many or too few is an error."""
        model = cls(**json.loads((folder / "config.json").read_text("utf-8")))
        weights = load_file(folder / "model.safetensors")
        model.load_state_dict({name: weight.float() for name, weight in weights.items()})
        return model.eval()


class _Halving(nn.Module):
    """Half the size, then one residual pair of convolutions."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(wide, out, 4, stride=2, padding=1)
        self.first = nn.Conv2d(out, out, 3, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, out) for _ in range(2)])

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d u v"]:
        features = self.down(features)
        inner = self.first(nn.functional.silu(self.norms[0](features)))
        inner = self.second(nn.functional.silu(self.norms[1](inner)))
        result: Tensor = features + inner
        return result
