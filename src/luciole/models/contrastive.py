"""Pictures and captions in one space."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


class ContrastiveLoss(nn.Module):
    """InfoNCE in both directions with a learned temperature (arXiv:2103.00020, figure 3)."""

    def __init__(self, temperature: float = 0.07, coldest: float = 0.01) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.limit = -math.log(coldest)

    def forward(
        self, pictures: Float[Tensor, "n d"], captions: Float[Tensor, "n d"]
    ) -> Float[Tensor, ""]:
        """Row i of one belongs to row i of the other and to no other row."""
        scores = self.scores(pictures, captions)
        own = torch.arange(len(scores), device=scores.device)
        return (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2

    def scores(
        self, pictures: Float[Tensor, "n d"], captions: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        """Cosine similarity over the temperature."""
        similarity = normalize(pictures.float(), dim=-1) @ normalize(captions.float(), dim=-1).T
        return similarity * self.log_scale.clamp(max=self.limit).exp()
