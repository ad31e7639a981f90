"""IP-Adapter (arXiv:2308.06721): a denoiser told by a picture, through attention of its own."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.models.attention_processor import (
    AttnProcessor,
    AttnProcessor2_0,
    IPAdapterAttnProcessor,
    IPAdapterAttnProcessor2_0,
    IPAdapterXFormersAttnProcessor,
    XFormersAttnProcessor,
)
from diffusers.models.embeddings import (
    ImageProjection,
    IPAdapterPlusImageProjection,
    MultiIPAdapterImageProjection,
)
from jaxtyping import Bool, Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

TOKENS = 4
"""Of the base kind; the layout has no room to say another number."""
HEAD_WIDTH = 64
"""Of the resampler; its number of heads follows from its width."""
_KERNELS = {
    AttnProcessor: IPAdapterAttnProcessor,
    AttnProcessor2_0: IPAdapterAttnProcessor2_0,
    XFormersAttnProcessor: IPAdapterXFormersAttnProcessor,
}
_PLUS_NAMES = (
    (r"^layers\.(\d+)\.ln([01])\.", lambda m: f"layers.{m[1]}.0.norm{int(m[2]) + 1}."),
    (r"^layers\.(\d+)\.attn\.to_out\.0\.", r"layers.\1.0.to_out."),
    (r"^layers\.(\d+)\.attn\.", r"layers.\1.0."),
    (r"^layers\.(\d+)\.ff\.0\.", r"layers.\1.1.0."),
    (r"^layers\.(\d+)\.ff\.1\.net\.0\.proj\.", r"layers.\1.1.1."),
    (r"^layers\.(\d+)\.ff\.1\.net\.2\.", r"layers.\1.1.3."),
)
"""From the names of diffusers' resampler to those of the files."""


class IdentityAdapter(nn.Module):
    """Tokens from a picture, and a key and a value projection for them in each cross-attention.

    Built from diffusers' own modules, so what is trained is what diffusers runs. The keys begin as
    those of the text, the values at nothing: attached untrained it changes nothing.
    """

    def __init__(self, denoiser: Any, image_projection: Any, tokens: int) -> None:
        super().__init__()
        self.image_projection, self.tokens = image_projection, tokens
        self.places = [name for name, _ in _cross_attentions(denoiser)]
        self.attention: Any = nn.ModuleList(
            [_beside(layer, tokens) for _, layer in _cross_attentions(denoiser)]
        )
        self._attached: tuple[Any, dict[str, Any]] | None = None

    @classmethod
    def base(cls, denoiser: Any, image_encoder: Any) -> Self:
        """Four tokens from the embedding of the whole picture."""
        return cls._base(denoiser, image_encoder.config.projection_dim)

    @classmethod
    def plus(cls, denoiser: Any, image_encoder: Any, tokens: int, width: int) -> Self:
        """`tokens` that a resampler of `width`, a multiple of 64, gathers from all patches."""
        return cls._plus(denoiser, image_encoder.config.hidden_size, tokens, width)

    @classmethod
    def _base(cls, denoiser: Any, embedding: int) -> Self:
        text = denoiser.config.cross_attention_dim
        return cls(denoiser, ImageProjection(embedding, text, TOKENS), TOKENS)

    @classmethod
    def _plus(cls, denoiser: Any, states: int, tokens: int, width: int) -> Self:
        if width % HEAD_WIDTH:
            raise ValueError(f"width: {width} is not a multiple of {HEAD_WIDTH}")
        build: Any = IPAdapterPlusImageProjection
        projection = build(
            embed_dims=states,
            output_dims=denoiser.config.cross_attention_dim,
            hidden_dims=width,
            heads=width // HEAD_WIDTH,
            num_queries=tokens,
        )
        return cls(denoiser, projection, tokens)

    @property
    def is_plus(self) -> bool:
        """Whether the patches are read, not the one embedding."""
        return not isinstance(self.image_projection, ImageProjection)

    def look(
        self, image_encoder: Any, pixels: Float[Tensor, "n 3 h w"], shown: Bool[Tensor, " n"]
    ) -> Float[Tensor, "n 1 ..."]:
        """What the denoiser takes as `image_embeds`, of pixels as CLIP normalises them.

        Where nothing is shown it is as diffusers has it without a picture: an embedding of zeros,
        or the states of a picture of zeros.
        """
        if self.is_plus:
            seen = pixels * shown[:, None, None, None]
            states: Tensor = image_encoder(seen, output_hidden_states=True).hidden_states[-2]
            return states[:, None]
        embeds: Tensor = image_encoder(pixels).image_embeds * shown[:, None]
        return embeds[:, None]

    def set_scale(self, scale: float) -> None:
        """How much the picture says; 0 is the denoiser alone, to the bit."""
        for processor in self.attention:
            processor.scale = [scale]

    def attach(self, denoiser: Any) -> None:
        """Put into a denoiser of the same architecture; ValueError where it does not fit."""
        if self._attached is not None or denoiser.encoder_hid_proj is not None:
            raise ValueError("identity: something is attached already, detach it first")
        for (name, layer), mine in zip(_cross_attentions(denoiser), self.attention, strict=True):
            if mine.to_k_ip[0].weight.shape != layer.to_k.weight.shape:
                raise ValueError(f"identity: made for another architecture, see {name}")
        before = dict(denoiser.attn_processors)
        self._attached = (denoiser, before)
        denoiser.set_attn_processor(
            {**before, **dict(zip(self.places, self.attention, strict=True))}
        )
        denoiser.encoder_hid_proj = MultiIPAdapterImageProjection([self.image_projection])
        denoiser.config.encoder_hid_dim_type = "ip_image_proj"

    def detach(self) -> None:
        """Leave the denoiser as it was."""
        if self._attached is None:
            raise ValueError("identity: nothing is attached")
        denoiser, before = self._attached
        denoiser.encoder_hid_proj = None
        denoiser.set_attn_processor(before)
        denoiser.config.encoder_hid_dim_type = None
        self._attached = None

    def layout(self) -> dict[str, Tensor]:
        """The weights under the names of IP-Adapter's files; keys count all attention layers."""
        weights = {f"image_proj.{name}": weight for name, weight in self._projection()}
        for i, processor in enumerate(self.attention):
            for kind in ("k", "v"):
                weight = getattr(processor, f"to_{kind}_ip")[0].weight
                weights[f"ip_adapter.{2 * i + 1}.to_{kind}_ip.weight"] = weight
        return {name: weight.detach().contiguous() for name, weight in weights.items()}

    def _projection(self) -> Iterator[tuple[str, Tensor]]:
        state: Mapping[str, Tensor] = self.image_projection.state_dict()
        for name, weight in state.items():
            if not self.is_plus:
                yield name.replace("image_embeds", "proj"), weight
            elif name.endswith("attn.to_k.weight"):
                both = [weight, state[name.replace("to_k", "to_v")]]
                yield _plus_name(name).replace("to_k", "to_kv"), torch.cat(both)
            elif not name.endswith("attn.to_v.weight"):
                yield _plus_name(name), weight

    def save(self, file: Path, half: bool, metadata: Mapping[str, str]) -> None:
        """One safetensors file that every reader of IP-Adapters opens; `half` stores fp16."""
        file.parent.mkdir(parents=True, exist_ok=True)
        weights = {
            name: weight.half() if half else weight for name, weight in self.layout().items()
        }
        save_file(weights, file, metadata={"format": "pt", **metadata})

    @classmethod
    def load(cls, file: Path, denoiser: Any) -> Self:
        """Of either kind, in fp32; ValueError naming a key that is missing, extra or misshapen."""
        with safe_open(file, "pt") as opened:
            weights = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118
        adapter = cls._like(file, weights, denoiser)
        _compare(file, adapter.layout(), weights)
        parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
        for name, weight in weights.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = weight
        adapter.image_projection = denoiser._convert_ip_adapter_image_proj_to_diffusers(
            parts["image_proj"], low_cpu_mem_usage=False
        )
        for i, processor in enumerate(adapter.attention):
            for kind in ("k", "v"):
                weight = parts["ip_adapter"][f"{2 * i + 1}.to_{kind}_ip.weight"]
                getattr(processor, f"to_{kind}_ip")[0].weight.data.copy_(weight)
        return adapter

    @classmethod
    def _like(cls, file: Path, weights: Mapping[str, Tensor], denoiser: Any) -> Self:
        if "image_proj.proj.weight" in weights:
            return cls._base(denoiser, weights["image_proj.proj.weight"].shape[1])
        if {"image_proj.latents", "image_proj.proj_in.weight"} <= set(weights):
            _, tokens, width = weights["image_proj.latents"].shape
            return cls._plus(denoiser, weights["image_proj.proj_in.weight"].shape[1], tokens, width)
        raise ValueError(
            f"{file}: neither image_proj.proj.weight (base) nor image_proj.latents and "
            "image_proj.proj_in.weight (Plus) is there"
        )


def _cross_attentions(denoiser: Any) -> Iterator[tuple[str, Any]]:
    """Name of the processor and the layer, in the order that numbers the keys of a file."""
    for name in denoiser.attn_processors:
        if name.endswith("attn2.processor"):
            yield name, denoiser.get_submodule(name.removesuffix(".processor"))


def _beside(layer: Any, tokens: int) -> Any:
    """The processor with room for a picture: of the same kernel as the layer's own."""
    build: Any = _KERNELS.get(type(layer.processor))
    if build is None:
        raise ValueError(f"identity: no place beside {type(layer.processor).__name__}")
    processor = build(layer.to_k.out_features, layer.to_k.in_features, num_tokens=(tokens,))
    processor.to_k_ip[0].weight.data.copy_(layer.to_k.weight)
    nn.init.zeros_(processor.to_v_ip[0].weight)
    return processor


def _plus_name(name: str) -> str:
    for pattern, replacement in _PLUS_NAMES:
        renamed = re.sub(pattern, replacement, name)
        if renamed != name:
            return renamed
    return name


def _compare(file: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    for name in sorted({*wanted, *found}):
        if name not in found:
            raise ValueError(f"{file}: {name} is missing")
        if name not in wanted:
            raise ValueError(f"{file}: nothing uses {name}; is it for another architecture?")
        if found[name].shape != wanted[name].shape:
            raise ValueError(
                f"{file}: {name} is {list(found[name].shape)}, the denoiser needs "
                f"{list(wanted[name].shape)}; it was trained on another architecture"
            )
