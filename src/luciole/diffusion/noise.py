"""What noise a picture is mixed with."""

from jaxtyping import Float
from torch import Tensor

from luciole.diffusion.draws import Draws


def drawn_noise(draws: Draws, like: Tensor, offset: float = 0.0) -> Float[Tensor, "n c h w"]:
    """Standard normal, of the shape of `like` [n, c, h, w].

    With `offset` every channel also gets one more draw for the whole picture, `offset` in size,
    so that a denoiser learns to move the mean where a schedule never quite reaches pure noise
    (Nicholas Guttenberg, "Diffusion with Offset Noise", crosslabs.org, 2023). With zero terminal
    SNR or a flow there is no need for it.
    """
    noise: Tensor = draws.normal(*like.shape[1:])
    return noise + offset * draws.normal(like.shape[1], 1, 1) if offset else noise
