"""SDXL's denoiser with random weights: as diffusers has it, and with a bank of styles."""

import copy
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from luciole.models.autoencoder import autoencoder
from luciole.models.denoiser import denoiser
from luciole.models.styled import StyleMix, styleable, wrap

SDXL = Path(__file__).parents[2] / "conf" / "model" / "sdxl.yaml"
RANK, PLACES = 8, 4
TYPE = torch.bfloat16
TINY: dict[str, dict[str, Any]] = {
    "denoiser": {
        "sample_size": 8,
        "block_out_channels": [16, 32, 32],
        "attention": [0, 1, 1],
        "layers_per_block": 1,
        "head_width": 8,
        "norm_num_groups": 8,
    },
    "autoencoder": {
        "sample_size": 64,
        "block_out_channels": [8, 8, 8, 8],
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
}
"""What differs from SDXL."""


def config(tiny: bool) -> dict[str, dict[str, Any]]:
    """Of the denoiser and the autoencoder."""
    told = yaml.safe_load(SDXL.read_text())
    return {
        name: {k: v for k, v in told[name].items() if k != "_target_"}
        | (TINY[name] if tiny else {})
        for name in ("denoiser", "autoencoder")
    }


def build(shape: dict[str, dict[str, Any]], device: str) -> tuple[Any, "Vae"]:
    """Both in bf16 on the device; weights by chance."""
    torch.manual_seed(0)
    with torch.device(device):
        unet = denoiser(**shape["denoiser"])
        vae = autoencoder(**shape["autoencoder"])
    for part in (unet, vae):
        part.eval().requires_grad_(False).to(TYPE, memory_format=torch.channels_last)
    return unet, Vae(vae)


class Vae:
    """The autoencoder's way back."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures."""
        pictures: Tensor = self._vae.decode(latents, return_dict=False)[0]
        return pictures


@dataclass(frozen=True)
class Asked:
    """The rows of a call: conditions, and a style each."""

    latents: Tensor
    timestep: Tensor
    text_states: Tensor
    pooled: Tensor
    time_ids: Tensor
    style_slot: Tensor
    style_weight: Tensor

    @classmethod
    def of(cls, side: int, rows: int, device: str, styled: bool) -> "Asked":
        """By chance; both rows of a request have the same style, or none."""
        chance = torch.Generator(device).manual_seed(rows)

        def noise(*sizes: int) -> Tensor:
            return torch.randn(sizes, generator=chance, device=device, dtype=TYPE)

        slots = torch.zeros((rows, PLACES), dtype=torch.int64, device=device)
        weights = torch.zeros((rows, PLACES), dtype=TYPE, device=device)
        if styled:
            slots[:, 0] = torch.arange(rows, device=device) % max(rows // 2, 1) + 1
            weights[:, 0] = 0.8
        return cls(
            noise(rows, 4, side, side).contiguous(memory_format=torch.channels_last),
            torch.full((rows,), 500.0, device=device),
            noise(rows, 77, 2048),
            noise(rows, 1280),
            torch.full((rows, 6), 8.0 * side, device=device),
            slots,
            weights,
        )

    def at(self, latents: Tensor, timestep: Tensor) -> "Asked":
        """The same request further on."""
        ordered = latents.contiguous(memory_format=torch.channels_last)
        return replace(self, latents=ordered, timestep=timestep)


class Plain(nn.Module):
    """diffusers' own."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, asked: Asked) -> Tensor:
        """The prediction."""
        return _predicted(self.unet, asked)


class Styled(nn.Module):
    """The same weights, each row with its own style of a bank that lies beside them."""

    def __init__(self, unet: nn.Module, styles: int, device: str) -> None:
        super().__init__()
        weights: dict[int, Any] = {id(t): t for t in chain(unet.parameters(), unet.buffers())}
        self.unet, self.mix = copy.deepcopy(unet, weights), StyleMix()
        self.places = wrap(self.unet, styleable(self.unet), self.mix)
        inputs = sum(place.inputs for place in self.places)
        outputs = sum(place.outputs for place in self.places)
        self.bank_a = 0.05 * torch.randn(styles + 1, RANK, inputs, device=device, dtype=TYPE)
        self.bank_b = 0.05 * torch.randn(styles + 1, RANK, outputs, device=device, dtype=TYPE)
        for bank in (self.bank_a, self.bank_b):
            bank[0] = 0

    def forward(self, asked: Asked) -> Tensor:
        """The prediction."""
        self.mix.gather(self.bank_a, self.bank_b, asked.style_slot, asked.style_weight)
        return _predicted(self.unet, asked)


def _predicted(unet: Any, asked: Asked) -> Tensor:
    added = {"text_embeds": asked.pooled, "time_ids": asked.time_ids}
    conditions = (asked.latents, asked.timestep, asked.text_states)
    answer: Tensor = unet(*conditions, added_cond_kwargs=added, return_dict=False)[0]
    return answer


def largest_error(plain: Plain, styled: Styled, asked: Asked) -> float:
    """Ours against diffusers' denoiser row by row, with each row's style added by hooks.

    The largest difference over the largest value.
    """
    found = styled(asked)
    expected = torch.cat([_alone(plain, styled, asked, row) for row in range(len(found))])
    return float((found - expected).abs().max() / expected.abs().max())


def _alone(plain: Plain, styled: Styled, asked: Asked, row: int) -> Tensor:
    slot, weight = asked.style_slot[row, 0], asked.style_weight[row, 0]
    hooks, at_in, at_out = [], 0, 0
    for place in styled.places:
        down = styled.bank_a[slot, :, at_in : at_in + place.inputs]
        up = styled.bank_b[slot, :, at_out : at_out + place.outputs]

        def moved(_: Any, given: Any, answer: Tensor, down: Tensor = down, up: Tensor = up) -> Any:
            return answer + weight * (given[0] @ down.T @ up)

        hooks.append(plain.unet.get_submodule(place.path).register_forward_hook(moved))
        at_in, at_out = at_in + place.inputs, at_out + place.outputs
    parts = {name: value[row : row + 1] for name, value in vars(asked).items()}
    try:
        return plain.forward(Asked(**parts))
    finally:
        for hook in hooks:
            hook.remove()
