"""The picture autoencoder and what it is trained to keep."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss, mse_loss


def autoencoder(
    block_out_channels: Sequence[int],
    latent_channels: int,
    layers_per_block: int,
    norm_num_groups: int,
    sample_size: int,
    mid_block_add_attention: bool,
    scaling_factor: float = 1.0,
) -> Any:
    """AutoencoderKL that halves the picture once less than it has blocks (four: f8)."""
    blocks = len(block_out_channels)
    build: Any = AutoencoderKL
    return build(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=tuple(block_out_channels),
        layers_per_block=layers_per_block,
        latent_channels=latent_channels,
        norm_num_groups=norm_num_groups,
        sample_size=sample_size,
        mid_block_add_attention=mid_block_add_attention,
        scaling_factor=scaling_factor,
        shift_factor=None,
    )


def edges(
    pictures: Float[Tensor, "n c h w"],
) -> tuple[Float[Tensor, "n c h v"], Float[Tensor, "n c u w"]]:
    """Differences of neighbouring pixels, along rows and along columns."""
    return pictures.diff(dim=-1), pictures.diff(dim=-2)


class ReconstructionLoss(nn.Module):
    """L1 + MSE + L1 of edges at `scales` sizes, each half the one before, + a faint KL.

    Edges at several sizes hold outlines and faces where plain L1 settles for soft colours.
    """

    def __init__(self, mse: float, edge: float, kl: float, scales: int) -> None:
        super().__init__()
        self.mse, self.edge, self.kl, self.scales = mse, edge, kl, scales

    def forward(
        self,
        result: Float[Tensor, "n 3 h w"],
        target: Float[Tensor, "n 3 h w"],
        posterior_kl: Float[Tensor, " n"],
    ) -> Float[Tensor, ""]:
        """`posterior_kl` is summed over a picture's latents; it is weighed per pixel value."""
        loss = l1_loss(result, target) + self.mse * mse_loss(result, target)
        loss = loss + self.kl * posterior_kl.mean() / target[0].numel()
        for _ in range(self.scales):
            for mine, real in zip(edges(result), edges(target), strict=True):
                loss = loss + self.edge / self.scales * l1_loss(mine, real)
            result, target = avg_pool2d(result, 2), avg_pool2d(target, 2)
        return loss


def psnr(result: Float[Tensor, "n 3 h w"], target: Float[Tensor, "n 3 h w"]) -> float:
    """Peak signal to noise in dB for pictures in -1..1 (clamped), over the whole batch."""
    error = (result.clamp(-1, 1) - target).float().pow(2).mean()
    return float(10 * torch.log10(4 / error.detach()))
