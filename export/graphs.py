"""The three graphs of a bundle as torch modules, with the names and axes of their tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from export.folder import ModelFolder
from luciole.bundle import BankSpec, GraphSpec, TensorSpec
from luciole.models.styled import StyleMix, styleable, wrap

MAX_EXPORT_BATCH = 63
"""diffusers' upsampling branches at a batch of 64, which a graph cannot."""
MAX_EXPORT_SIDE = 4096
MAX_EXPORT_TOKENS = 77 * 128
MAX_EXPORT_SLOTS = 65536
STYLE_RANK = 8
"""Ranks of one place in the bank; a style of a higher rank takes several."""
STYLES = 4
"""Places that one row mixes at most."""


class TextEncoder(nn.Module):
    """Both encoders; SDXL takes what goes into their last layers (arXiv:2307.01952, 2.1)."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, input_ids: Tensor, input_ids_2: Tensor) -> tuple[Tensor, Tensor]:
        """States of both side by side, and the second's pooled embedding."""
        first = self.first(input_ids, output_hidden_states=True)
        second = self.second(input_ids_2, output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return states, second.text_embeds


class Denoiser(nn.Module):
    """The UNet, made to take styles in place, with its conditions and the bank as inputs."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet, self.mix = unet, StyleMix()
        self.layers = wrap(self.unet, styleable(self.unet), self.mix)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        text_states: Tensor,
        pooled: Tensor,
        time_ids: Tensor,
        style_slot: Tensor,
        style_weight: Tensor,
        bank_a: Tensor,
        bank_b: Tensor,
    ) -> Tensor:
        """Epsilon or v, as the model was trained."""
        self.mix.gather(bank_a, bank_b, style_slot, style_weight)
        added = {"text_embeds": pooled, "time_ids": time_ids}
        prediction: Tensor = self.unet(
            latents, timestep, text_states, added_cond_kwargs=added, return_dict=False
        )[0]
        return prediction


class VaeDecoder(nn.Module):
    """From latents as the denoiser sees them to pictures in about -1 to 1."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae
        self.scaling_factor = float(vae.config.scaling_factor)

    def forward(self, latents: Tensor) -> Tensor:
        """Unscale and decode."""
        pictures: Tensor = self.vae.decode(latents / self.scaling_factor, return_dict=False)[0]
        return pictures


@dataclass(frozen=True)
class Graph:
    """A module to export; `axes` are the torch dimensions that its axis names stand for."""

    name: str
    module: nn.Module
    spec: GraphSpec
    axes: dict[str, Any]

    def inputs(self, sizes: dict[str, int], seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of a given size per named axis."""
        generator = torch.Generator().manual_seed(seed)
        return tuple(_random(tensor, sizes, generator) for tensor in self.tensors)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """All inputs: those of a call, then those that live with the engine."""
        return self.spec.inputs + self.spec.resident

    @property
    def dynamic_shapes(self) -> dict[str, dict[int, Any]]:
        """Which axes of which inputs vary, as torch.export wants it."""
        return {
            tensor.name: {
                i: self.axes[axis] for i, axis in enumerate(tensor.shape) if isinstance(axis, str)
            }
            for tensor in self.tensors
        }


def graphs(folder: ModelFolder) -> list[Graph]:
    """The graphs of a model, smallest first."""
    return [_text_encoder(folder), _vae_decoder(folder), _denoiser(folder)]


def _text_encoder(folder: ModelFolder) -> Graph:
    first, second = (encoder.config for encoder in folder.text_encoders)
    hidden, window = first.hidden_size + second.hidden_size, folder.window
    spec = _spec(
        "text_encoder",
        [("input_ids", "int64", "batch", window), ("input_ids_2", "int64", "batch", window)],
        [
            ("text_states", "float32", "batch", window, hidden),
            ("pooled", "float32", "batch", second.projection_dim),
        ],
    )
    return Graph("text_encoder", TextEncoder(*folder.text_encoders), spec, {"batch": _batch()})


def _denoiser(folder: ModelFolder) -> Graph:
    config = folder.unet.config
    pooled = folder.text_encoders[1].config.projection_dim
    latents = ("batch", config.in_channels, "height", "width")
    module = Denoiser(folder.unet)
    bank = BankSpec(rank=STYLE_RANK, styles=STYLES, layers=module.layers)
    spec = _spec(
        "denoiser",
        [
            ("latents", "float32", *latents),
            ("timestep", "float32", "batch"),
            ("text_states", "float32", "batch", "tokens", config.cross_attention_dim),
            ("pooled", "float32", "batch", pooled),
            ("time_ids", "float32", "batch", 6),
            ("style_slot", "int64", "batch", STYLES),
            ("style_weight", "float32", "batch", STYLES),
        ],
        [("prediction", "float32", *latents)],
        bank,
    )
    multiple = folder.latent_multiple
    # Halved and doubled again, an odd size would not meet its skip connection.
    sides = {
        side: multiple * Dim(f"{side}_units", min=1, max=MAX_EXPORT_SIDE // multiple)
        for side in ("height", "width")
    }
    axes = {"batch": _batch(), "tokens": Dim("tokens", min=2, max=MAX_EXPORT_TOKENS), **sides}
    axes["slots"] = Dim("slots", min=2, max=MAX_EXPORT_SLOTS)
    return Graph("denoiser", module, spec, axes)


def _vae_decoder(folder: ModelFolder) -> Graph:
    spec = _spec(
        "vae_decoder",
        [("latents", "float32", "batch", folder.vae.config.latent_channels, "height", "width")],
        [("pictures", "float32", "batch", 3, "picture_height", "picture_width")],
    )
    sides = {side: Dim(side, min=1, max=MAX_EXPORT_SIDE) for side in ("height", "width")}
    return Graph("vae_decoder", VaeDecoder(folder.vae), spec, {"batch": _batch(), **sides})


def _batch() -> Any:
    return Dim("batch", min=1, max=MAX_EXPORT_BATCH)


def _spec(
    name: str,
    inputs: Sequence[tuple[Any, ...]],
    outputs: Sequence[tuple[Any, ...]],
    bank: BankSpec | None = None,
) -> GraphSpec:
    def tensors(rows: Sequence[tuple[Any, ...]]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=row[0], dtype=row[1], shape=row[2:]) for row in rows)

    file = f"{name}.onnx"
    return GraphSpec(file=file, inputs=tensors(inputs), outputs=tensors(outputs), bank=bank)


def _random(tensor: TensorSpec, sizes: dict[str, int], generator: torch.Generator) -> Tensor:
    shape = [sizes[axis] if isinstance(axis, str) else axis for axis in tensor.shape]
    if tensor.name == "style_slot":
        return torch.randint(0, sizes["slots"], shape, generator=generator)
    if tensor.dtype == "int64":
        # Low ids exist in every vocabulary.
        return torch.randint(0, 256, shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if tensor.name.startswith("bank_"):
        return 0.1 * noise
    scale = {"timestep": 999.0, "time_ids": 512.0}.get(tensor.name)
    return noise if scale is None else (noise.abs() * scale).clamp(max=scale).round()
