"""A denoiser that also listens to identities, control residuals and an earlier frame's attention.

Everything has its own numbers for each sample: tokens, scales, areas, residuals, keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from luciole.adapters.identity import IdentityAdapter

SELF, CROSS = "attn1.processor", "attn2.processor"
ANCHOR_SIDE = 16
"""At most so many anchor tokens along an edge of the model's own size, in each layer."""


@dataclass
class Told:
    """What the attention layers are told of the samples that are being worked on."""

    tokens: Tensor = field(default_factory=lambda: torch.empty(0))
    scale: Tensor = field(default_factory=lambda: torch.empty(0))
    areas: list[Tensor] = field(default_factory=list)
    """By level: [n, place, identity]."""
    anchors: Sequence[Tensor] = ()
    anchor_bias: Tensor = field(default_factory=lambda: torch.empty(0))
    seen: list[Tensor] = field(default_factory=list)
    side: tuple[Any, Any] = (0, 0)

    def divide(self, mask: Float[Tensor, "n identity h w"], levels: int) -> None:
        """Each identity's area at every level of the denoiser."""
        self.areas = []
        for _ in range(levels):
            self.areas.append(mask.flatten(2).transpose(1, 2))
            mask = functional.avg_pool2d(mask, 2)


class Listening(nn.Module):
    """Words and identities through attentions of their own, added up (arXiv:2308.06721, eq. 5)."""

    def __init__(self, key: nn.Linear, value: nn.Linear, told: Told, layer: int, level: int):
        super().__init__()
        self.key, self.value, self._told = key, value, told
        self._layer, self._level = layer, level

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """As diffusers calls the processor of a cross-attention."""
        query = _heads(attn.to_q(hidden_states), attn.heads)
        key = _heads(attn.to_k(encoder_hidden_states), attn.heads)
        value = _heads(attn.to_v(encoder_hidden_states), attn.heads)
        heard = _attended(query, key, value, attn.scale)
        return _out(attn, heard + self._identities(attn, query))

    def _identities(self, attn: Any, query: Tensor) -> Tensor:
        """Each identity's softmax is over its own tokens, its weight by sample and place."""
        tokens = self._told.tokens.flatten(1, 2)
        key, value = (_heads(part(tokens), attn.heads) for part in (self.key, self.value))
        scores = query @ key.transpose(-1, -2) * attn.scale
        each = scores.reshape(*scores.shape[:3], *self._told.tokens.shape[1:3]).softmax(-1)
        weight = self._told.areas[self._level] * self._told.scale[:, None, :, self._layer]
        heard: Tensor = (each * weight[:, None, :, :, None]).flatten(-2) @ value
        return heard


class Anchored:
    """Self-attention that also reads an earlier frame's places (arXiv:2402.03286, section 3.2).

    It keeps every `stride`-th of its own places, which is what a later frame reads.
    """

    def __init__(self, told: Told, index: int, level: int, stride: int) -> None:
        self._told, self._index = told, index
        self._level, self._stride = level, stride

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """As diffusers calls the processor of a self-attention."""
        self._keep(hidden_states)
        anchors = self._told.anchors[self._index]
        seen = torch.cat([hidden_states, anchors], dim=1)
        query = _heads(attn.to_q(hidden_states), attn.heads)
        key, value = (_heads(part(seen), attn.heads) for part in (attn.to_k, attn.to_v))
        bias = self._told.anchor_bias[:, None] * torch.ones_like(anchors[:, :, 0])
        own = torch.zeros_like(hidden_states[:, :, 0])
        both = torch.cat([own, bias], dim=1)[:, None, None, :]
        return _out(attn, _attended(query, key, value, attn.scale, both))

    def _keep(self, hidden_states: Tensor) -> None:
        height, width = (side // 2**self._level for side in self._told.side)
        grid = hidden_states.reshape(hidden_states.shape[0], height, width, -1)
        self._told.seen.append(grid[:, :: self._stride, :: self._stride].flatten(1, 2))


def listen(unet: Any, adapter: IdentityAdapter, told: Told) -> tuple[str, ...]:
    """Let the cross-attentions hear identities; their names, in the order of the scales."""
    processors = dict(unet.attn_processors)
    for layer, (name, learned) in enumerate(zip(adapter.places, adapter.attention, strict=True)):
        key, value = learned.to_k_ip[0], learned.to_v_ip[0]
        processors[name] = Listening(key, value, told, layer, level(name, unet))
    unet.set_attn_processor(processors)
    return tuple(name.removesuffix(f".{CROSS}") for name in adapter.places)


def use_anchors(unet: Any, told: Told) -> None:
    """Let the self-attentions of the way up read anchors, and keep some."""
    processors = dict(unet.attn_processors)
    for index, name in enumerate(anchored(unet)):
        at = level(name, unet)
        side = unet.config.sample_size // 2**at
        processors[name] = Anchored(told, index, at, -(-side // ANCHOR_SIDE))
    unet.set_attn_processor(processors)


def anchored(unet: Any) -> list[str]:
    """The self-attentions of the way up, in the order in which they are run."""
    return [n for n in unet.attn_processors if n.startswith("up_blocks.") and n.endswith(SELF)]


def anchor_widths(unet: Any) -> list[int]:
    """Channels of each of them."""
    paths = [name.removesuffix(".processor") for name in anchored(unet)]
    return [int(unet.get_submodule(path).query_dim) for path in paths]


def level(name: str, unet: Any) -> int:
    """How often the latents are halved where a layer works."""
    levels = len(unet.config.block_out_channels)
    block, _, rest = name.partition(".")
    if block == "mid_block":
        return levels - 1
    index = int(rest.split(".", 1)[0])
    return index if block == "down_blocks" else levels - 1 - index


def style_and_layout(layers: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where SDXL decides style and layout (arXiv:2404.02733, section 3.2): in the way up's first
    block with attention the second transformer, in the way down's last one the last.
    """
    up = [name for name in layers if name.startswith("up_blocks.")]
    down = [name for name in layers if name.startswith("down_blocks.")]
    first = _transformers(up, up[0].split(".")[1]) if up else []
    last = _transformers(down, down[-1].split(".")[1]) if down else []
    style = tuple(i for i, name in enumerate(layers) if first and name.startswith(first[:2][-1]))
    layout = tuple(i for i, name in enumerate(layers) if last and name.startswith(last[-1]))
    return style, layout


def _transformers(names: Sequence[str], block: str) -> list[str]:
    """The paths of one block's transformers, each with a full stop at its end."""
    inside = [name.split(".") for name in names if name.split(".")[1] == block]
    return list(dict.fromkeys(".".join(path[:4]) + "." for path in inside))


def _heads(x: Tensor, heads: int) -> Float[Tensor, "n head token width"]:
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def _attended(
    query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor | None = None
) -> Tensor:
    scores = query @ key.transpose(-1, -2) * scale
    return (scores if bias is None else scores + bias).softmax(-1) @ value


def _out(attn: Any, heard: Tensor) -> Tensor:
    moved: Tensor = attn.to_out[0](heard.transpose(1, 2).flatten(2))
    return moved
