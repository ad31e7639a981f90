"""Graphs of a bundle as torch modules, with the names and axes of their tensors."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from export.folder import ModelFolder
from luciole.adapters.identity import IdentityAdapter
from luciole.bundle import BankLayer, BankSpec, GraphSpec, TensorSpec
from luciole.models.looks import SIDE as LOOKS_SIDE
from luciole.models.looks import LooksEncoder
from luciole.models.styled import Place, StyleMix, styleable, wrap

MAX_EXPORT_BATCH = 63
"""diffusers' upsampling branches at a batch of 64, which a graph cannot."""
MAX_EXPORT_SIDE = 4096
MAX_EXPORT_SLOTS = 65536
STYLE_RANK = 8
"""Ranks of one place in the bank; a style of a higher rank takes several."""
STYLES = 4
"""Places that one row mixes at most."""
STYLE_ROWS = ("style_slot", "style_weight")
MAX_ANCHORED = 64
"""Self-attentions of a way up; SDXL has 36."""


class TextEncoder(nn.Module):
    """Both encoders; SDXL takes what goes into their last layers (arXiv:2307.01952, 2.1).

    They take styles in place as the denoiser does.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        # Named as in LoRA files.
        self.text_encoder, self.text_encoder_2, self.mix = first, second, StyleMix()
        self.layers = wrap(self, styleable(self, inside="layers"), self.mix)

    def forward(
        self,
        input_ids: Tensor,
        input_ids_2: Tensor,
        style_slot: Tensor,
        style_weight: Tensor,
        bank_a: Tensor,
        bank_b: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """States of both side by side, and the second's pooled embedding."""
        self.mix.gather(bank_a, bank_b, style_slot, style_weight)
        first = self.text_encoder(input_ids, output_hidden_states=True)
        second = self.text_encoder_2(input_ids_2, output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return states, second.text_embeds


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


class VaeEncoder(nn.Module):
    """From pictures in -1..1 to latents as the denoiser sees them: the mean, no chance."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae
        self.scaling_factor = float(vae.config.scaling_factor)

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode and scale."""
        latents: Tensor = self.vae.encode(pictures, return_dict=False)[0].mean
        return latents * self.scaling_factor


class ImageEncoder(nn.Module):
    """A picture's embedding and, with an adapter, the tokens that the denoiser listens to."""

    def __init__(self, vision: nn.Module, adapter: IdentityAdapter | None) -> None:
        super().__init__()
        self.vision = vision
        self.projection = None if adapter is None else adapter.image_projection
        self.reads_patches = adapter is not None and adapter.is_plus

    def forward(self, pixels: Tensor, shown: Tensor) -> tuple[Tensor, ...]:
        """Of pixels as CLIP normalises them; `shown` 0 is no picture, as diffusers has it."""
        seen = self.vision(pixels * shown[:, None, None, None], output_hidden_states=True)
        embeds = seen.image_embeds * shown[:, None]
        if self.projection is None:
            return (embeds,)
        return embeds, self.projection(seen.hidden_states[-2] if self.reads_patches else embeds)


@dataclass(frozen=True)
class Part:
    """An axis that is always a multiple or a part of another."""

    axis: str
    times: int = 1
    over: int = 1

    def of(self, size: int) -> int:
        """Its size."""
        return size * self.times // self.over


@dataclass(frozen=True)
class Graph:
    """A module to export; `axes` are the torch dimensions that its axis names stand for."""

    name: str
    module: nn.Module
    spec: GraphSpec
    axes: dict[str, Any]
    parts: Mapping[str, Part] = field(default_factory=dict)
    shares: str | None = None
    """The graph whose weights it uses."""
    beside: GraphSpec | None = None
    """A second graph with the same inputs, whose outputs are the module's further ones."""

    @property
    def specs(self) -> dict[str, GraphSpec]:
        """All graphs that are written, by name; their outputs in the module's order."""
        more = () if self.beside is None else (self.beside,)
        return {spec.file.removesuffix(".onnx"): spec for spec in (self.spec, *more)}

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The module's."""
        return tuple(output for spec in self.specs.values() for output in spec.outputs)

    def inputs(self, sizes: Mapping[str, int], seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of a given size per named axis."""
        generator = torch.Generator().manual_seed(seed)
        all_sizes = {**sizes, **{n: p.of(sizes[p.axis]) for n, p in self.parts.items()}}
        return tuple(_random(tensor, all_sizes, generator) for tensor in self.tensors)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """All inputs: those of a call, then those that live with the engine."""
        return self.spec.inputs + self.spec.resident

    @property
    def open_tensors(self) -> tuple[TensorSpec, ...]:
        """All inputs as ONNX has them: a call in which no row has a style may bring no places."""
        return tuple(
            tensor.model_copy(update={"shape": (tensor.shape[0], "styles")})
            if tensor.name in STYLE_ROWS
            else tensor
            for tensor in self.tensors
        )

    def dynamic_shapes(self, tensors: Sequence[TensorSpec]) -> dict[str, Any]:
        """Which axes of these inputs vary, as torch.export wants it."""
        axes = {**self.axes, "styles": Dim("styles", min=0, max=STYLES)}
        varying = {
            tensor.name: {
                i: axes[axis] for i, axis in enumerate(tensor.shape) if isinstance(axis, str)
            }
            for tensor in tensors
        }
        (first, *_) = inspect.signature(self.module.forward).parameters.values()
        if first.kind is inspect.Parameter.VAR_POSITIONAL:
            return {first.name: tuple(varying.values())}
        return varying


def text_encoder(folder: ModelFolder) -> Graph:
    """Words to states."""
    first, second = (encoder.config for encoder in folder.text_encoders)
    hidden, window = first.hidden_size + second.hidden_size, folder.window
    module = TextEncoder(*folder.text_encoders)
    bank = bank_spec("text_encoder", module.layers)
    ids = [("input_ids", "int64", "batch", window), ("input_ids_2", "int64", "batch", window)]
    spec = tensor_spec(
        "text_encoder",
        [*ids, *style_rows()],
        [
            ("text_states", "float32", "batch", window, hidden),
            ("pooled", "float32", "batch", second.projection_dim),
        ],
        bank,
    )
    return Graph("text_encoder", module, spec, {"batch": batch_axis(), "slots": slots_axis()})


def vae_decoder(folder: ModelFolder) -> Graph:
    """Latents to pictures."""
    spec = tensor_spec(
        "vae_decoder",
        [("latents", "float32", "batch", folder.vae.config.latent_channels, "height", "width")],
        [("pictures", "float32", "batch", 3, "picture_height", "picture_width")],
    )
    sides = {side: Dim(side, min=1, max=MAX_EXPORT_SIDE) for side in ("height", "width")}
    return Graph("vae_decoder", VaeDecoder(folder.vae), spec, {"batch": batch_axis(), **sides})


def vae_encoder(folder: ModelFolder) -> Graph:
    """Pictures to latents."""
    spec = tensor_spec(
        "vae_encoder",
        [("pictures", "float32", "batch", 3, "picture_height", "picture_width")],
        [("latents", "float32", "batch", folder.vae.config.latent_channels, "height", "width")],
    )
    sides = {side: Dim(side, min=1, max=MAX_EXPORT_SIDE) for side in ("height", "width")}
    stride = folder.latent_stride
    pixels = {f"picture_{side}": stride * units for side, units in sides.items()}
    parts = {f"picture_{side}": Part(side, stride) for side in sides}
    axes = {"batch": batch_axis(), **sides, **pixels}
    return Graph("vae_encoder", VaeEncoder(folder.vae), spec, axes, parts)


def image_encoder(vision: Any, adapter: IdentityAdapter | None, text_width: int) -> Graph:
    """Pictures of somebody to an embedding and tokens."""
    side, wide = vision.config.image_size, vision.config.projection_dim
    outputs: list[tuple[Any, ...]] = [("embeds", "float32", "batch", wide)]
    if adapter is not None:
        outputs.append(("tokens", "float32", "batch", adapter.tokens, text_width))
    spec = tensor_spec(
        "image_encoder",
        [("pixels", "float32", "batch", 3, side, side), ("shown", "float32", "batch")],
        outputs,
    )
    module = ImageEncoder(vision, adapter)
    return Graph("image_encoder", module, spec, {"batch": batch_axis()})


def looks_encoder(encoder: LooksEncoder) -> Graph:
    """Pictures of somebody to what is read of their looks."""
    spec = tensor_spec(
        "looks_encoder",
        [("pixels", "float32", "batch", 3, LOOKS_SIDE, LOOKS_SIDE)],
        [("embeds", "float32", "batch", encoder.width)],
    )
    return Graph("looks_encoder", encoder, spec, {"batch": batch_axis()})


def style_rows() -> list[tuple[Any, ...]]:
    """Which places of the bank each row mixes, and how much of each."""
    return [(n, t, "batch", STYLES) for n, t in zip(STYLE_ROWS, ("int64", "float32"), strict=True)]


def bank_spec(name: str, places: Sequence[Place]) -> BankSpec:
    """Of the layers that take styles."""
    layers = tuple(BankLayer(**place._asdict()) for place in places)
    return BankSpec(name=name, rank=STYLE_RANK, styles=STYLES, layers=layers)


def slots_axis() -> Any:
    """Places of the bank."""
    return Dim("slots", min=2, max=MAX_EXPORT_SLOTS)


def batch_axis() -> Any:
    """Rows of one call."""
    return Dim("batch", min=1, max=MAX_EXPORT_BATCH)


def tensor_spec(
    name: str,
    inputs: Sequence[tuple[Any, ...]],
    outputs: Sequence[tuple[Any, ...]],
    bank: BankSpec | None = None,
) -> GraphSpec:
    """Rows of name, type and axes."""

    def tensors(rows: Sequence[tuple[Any, ...]]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=row[0], dtype=row[1], shape=row[2:]) for row in rows)

    file = f"{name}.onnx"
    return GraphSpec(file=file, inputs=tensors(inputs), outputs=tensors(outputs), bank=bank)


def _random(tensor: TensorSpec, sizes: Mapping[str, int], generator: torch.Generator) -> Tensor:
    shape = [sizes[axis] if isinstance(axis, str) else axis for axis in tensor.shape]
    if tensor.name == "style_slot":
        return torch.randint(0, sizes["slots"], shape, generator=generator)
    if tensor.dtype == "int64":
        # Low ids exist in every vocabulary.
        return torch.randint(0, 256, shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if tensor.name in ("shown", "identity_mask", "hint"):
        return noise.abs().clamp(max=1)
    if tensor.name.startswith("bank_"):
        return 0.1 * noise
    if tensor.name == "anchor_bias":
        return -noise.abs()
    scale = {"timestep": 999.0, "time_ids": 512.0}.get(tensor.name)
    return noise if scale is None else (noise.abs() * scale).clamp(max=scale).round()


def guided_sizes(identities: int, tokens: int, anchors: int) -> dict[str, int]:
    """Of the axes that only guided graphs have."""
    sizes = {f"anchor_{i}_tokens": anchors for i in range(MAX_ANCHORED)}
    return {"identities": identities, "identity_tokens": tokens, **sizes}
