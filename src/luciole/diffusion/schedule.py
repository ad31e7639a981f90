"""How much of a picture is left at every timestep."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


def scaled_linear_betas(steps: int, start: float, end: float) -> Float[Tensor, " steps"]:
    """Stable Diffusion's: the square root rises evenly. In float64."""
    return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2


def zero_terminal_snr(
    alphas_cumprod: Float[Tensor, " steps"],
) -> Float[Tensor, " steps"]:
    """Shift and stretch √ᾱ so that the last step is pure noise (arXiv:2305.08891, algorithm 1)."""
    roots = alphas_cumprod.sqrt()
    first, last = roots[0], roots[-1]
    return ((roots - last) * first / (first - last)) ** 2


class NoiseSchedule(nn.Module):
    """x_t = √ᾱ_t·x + √(1 − ᾱ_t)·ε for t in 0..steps − 1."""

    def __init__(self, steps: int, beta_start: float, beta_end: float, zero_snr: bool) -> None:
        super().__init__()
        kept = (1 - scaled_linear_betas(steps, beta_start, beta_end)).cumprod(0)
        kept = zero_terminal_snr(kept) if zero_snr else kept
        self.steps, self.zero_snr = steps, zero_snr
        self.register_buffer("alphas_cumprod", kept.float(), persistent=False)
        self.alphas_cumprod: Tensor

    def noisy(
        self,
        latents: Float[Tensor, "n c h w"],
        noise: Float[Tensor, "n c h w"],
        timesteps: Int64[Tensor, " n"],
    ) -> Float[Tensor, "n c h w"]:
        """x_t."""
        signal, sigma = self._roots(timesteps)
        return signal * latents + sigma * noise

    def velocity(
        self,
        latents: Float[Tensor, "n c h w"],
        noise: Float[Tensor, "n c h w"],
        timesteps: Int64[Tensor, " n"],
    ) -> Float[Tensor, "n c h w"]:
        """v = √ᾱ·ε − √(1 − ᾱ)·x (arXiv:2202.00512, section 2.4)."""
        signal, sigma = self._roots(timesteps)
        return signal * noise - sigma * latents

    def snr(self, timesteps: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """ᾱ / (1 − ᾱ)."""
        kept = self.alphas_cumprod[timesteps]
        return kept / (1 - kept)

    def _roots(
        self, timesteps: Int64[Tensor, " n"]
    ) -> tuple[Float[Tensor, "n 1 1 1"], Float[Tensor, "n 1 1 1"]]:
        kept = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        return kept.sqrt(), (1 - kept).sqrt()
