"""The denoiser's graphs: plain, guided, what anchors are read from, and control nets."""

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.export import Dim

from export.folder import ModelFolder
from export.graphs import (
    MAX_EXPORT_SIDE,
    Graph,
    Part,
    bank_spec,
    batch_axis,
    slots_axis,
    style_rows,
    tensor_spec,
)
from luciole.adapters.identity import IdentityAdapter
from luciole.models.guided import Told, anchor_widths, listen, use_anchors
from luciole.models.styled import StyleMix, styleable, wrap

MAX_EXPORT_TOKENS = 77 * 128
MAX_EXPORT_IDENTITIES = 16
PLAIN, GUIDED, ANCHORS = "denoiser", "denoiser_guided", "anchor_encoder"

Rows = list[tuple[Any, ...]]


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


class GuidedDenoiser(nn.Module):
    """The same weights with room for whatever guides a picture; `names` are the inputs'."""

    def __init__(self, plain: Denoiser, adapter: IdentityAdapter | None, anchors: bool) -> None:
        super().__init__()
        twin = twin_of(plain)
        self.unet: Any = twin.unet
        self.mix, self.told = twin.mix, Told()
        self.names: tuple[str, ...] = ()
        self.layers = () if adapter is None else listen(self.unet, adapter, self.told)
        if anchors:
            use_anchors(self.unet, self.told)

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Epsilon or v, as the model was trained, and what a later frame may read."""
        told = dict(zip(self.names, given, strict=True))
        self.mix.gather(*(told[n] for n in ("bank_a", "bank_b", "style_slot", "style_weight")))
        _, _, *side = told["latents"].shape
        self.told.seen, self.told.side = [], (side[0], side[1])
        if self.layers:
            self.told.tokens, self.told.scale = told["identity_tokens"], told["identity_scale"]
            self.told.divide(told["identity_mask"], len(self.unet.config.block_out_channels))
        if "anchor_bias" in told:
            anchors = sorted(n for n in told if n.startswith("anchor_") and n != "anchor_bias")
            self.told.anchors = [told[f"anchor_{i}"] for i in range(len(anchors))]
            self.told.anchor_bias = told["anchor_bias"]
        answer: Tensor = self.unet(
            *(told[n] for n in ("latents", "timestep", "text_states")),
            added_cond_kwargs={"text_embeds": told["pooled"], "time_ids": told["time_ids"]},
            return_dict=False,
            **_residuals(told),
        )[0]
        return (answer, *self.told.seen)


class ControlNet(nn.Module):
    """A control net with its conditions as inputs; without `words` it needs none of them."""

    def __init__(self, control: Any, words: bool) -> None:
        super().__init__()
        self.control, self.words = control, words

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """What is added to each skip, then to the middle."""
        latents, timestep, hint, *words = given
        states, pooled, time_ids = words if self.words else (None, None, None)
        down, mid = self.control(
            latents,
            timestep,
            encoder_hidden_states=states,
            controlnet_cond=hint,
            added_cond_kwargs={"text_embeds": pooled, "time_ids": time_ids},
            return_dict=False,
        )
        return (*down, mid)


def twin_of(module: Denoiser) -> Denoiser:
    """Another one whose processors can be set, of the very same weights."""
    weights: dict[int, Any] = {id(t): t for t in chain(module.parameters(), module.buffers())}
    return copy.deepcopy(module, weights)


def denoisers(
    folder: ModelFolder, adapter: IdentityAdapter | None, controlled: bool, anchors: bool
) -> list[Graph]:
    """The plain graph and, where something guides, the guided one and what it needs."""
    plain = Denoiser(folder.unet)
    made = [_plain(folder, plain)]
    if adapter is not None or controlled or anchors:
        made.append(_guided(folder, plain, adapter, controlled, anchors))
    return made


def control_net(folder: ModelFolder, kind: str, control: Any) -> Graph:
    """Of one kind; its words are left out where it was made without."""
    words = control.config.addition_embed_type is not None
    latents, timestep, *rest = _conditions(folder)
    hint = ("hint", "float32", "batch", 3, "picture_height", "picture_width")
    asked = [latents, timestep, hint, *(rest if words else [])]
    name = f"controlnet_{kind}"
    residuals, parts = _residual_rows(folder)
    stride = folder.latent_stride
    parts |= {f"picture_{side}": Part(side, stride) for side in ("height", "width")}
    module = ControlNet(control, words)
    spec = tensor_spec(name, asked, residuals)
    return Graph(name, module, spec, _axes(folder, parts), parts)


def _plain(folder: ModelFolder, module: Denoiser) -> Graph:
    bank = bank_spec(PLAIN, module.layers)
    spec = tensor_spec(PLAIN, [*_conditions(folder), *style_rows()], [_prediction(folder)], bank)
    return Graph(PLAIN, module, spec, _axes(folder))


def _guided(
    folder: ModelFolder,
    plain: Denoiser,
    adapter: IdentityAdapter | None,
    controlled: bool,
    anchors: bool,
) -> Graph:
    module = GuidedDenoiser(plain, adapter, anchors)
    rows = [*_conditions(folder), *style_rows()]
    parts: dict[str, Part] = {}
    if adapter is not None:
        wide = folder.unet.config.cross_attention_dim
        rows += [
            ("identity_tokens", "float32", "batch", "identities", "identity_tokens", wide),
            ("identity_scale", "float32", "batch", "identities", len(module.layers)),
            ("identity_mask", "float32", "batch", "identities", "height", "width"),
        ]
    if controlled:
        residuals, parts = _residual_rows(folder)
        rows += residuals
    if anchors:
        rows += [*_anchor_rows(folder), ("anchor_bias", "float32", "batch")]
    bank = bank_spec(PLAIN, plain.layers)
    spec = tensor_spec(GUIDED, rows, [_prediction(folder)], bank)
    beside = tensor_spec(ANCHORS, rows, _seen_rows(folder), bank) if anchors else None
    axes = _axes(folder, parts)
    graph = Graph(GUIDED, module, spec, axes, parts, beside=beside, shares=PLAIN)
    module.names = tuple(tensor.name for tensor in graph.tensors)
    return graph


def _conditions(folder: ModelFolder) -> Rows:
    config = folder.unet.config
    pooled = folder.text_encoders[1].config.projection_dim
    return [
        ("latents", "float32", "batch", config.in_channels, "height", "width"),
        ("timestep", "float32", "batch"),
        ("text_states", "float32", "batch", "tokens", config.cross_attention_dim),
        ("pooled", "float32", "batch", pooled),
        ("time_ids", "float32", "batch", 6),
    ]


def _prediction(folder: ModelFolder) -> tuple[Any, ...]:
    return ("prediction", *_conditions(folder)[0][1:])


def _anchor_rows(folder: ModelFolder) -> Rows:
    widths = anchor_widths(folder.unet)
    return [
        (f"anchor_{i}", "float32", "batch", f"anchor_{i}_tokens", wide)
        for i, wide in enumerate(widths)
    ]


def _seen_rows(folder: ModelFolder) -> Rows:
    """The anchors of a frame, under other names than those that it reads itself."""
    return [(name.replace("anchor", "seen"), *rest) for name, *rest in _anchor_rows(folder)]


def _residual_rows(folder: ModelFolder) -> tuple[Rows, dict[str, Part]]:
    """One for each skip, in diffusers' order, and one for the middle; with their sides."""
    config = folder.unet.config
    channels, last = config.block_out_channels, len(config.block_out_channels) - 1
    places = [(channels[0], 0)]
    for level, wide in enumerate(channels):
        places += [(wide, level)] * config.layers_per_block
        places += [(wide, level + 1)] if level < last else []
    names = [*(f"control_{i}" for i in range(len(places))), "control_mid"]
    rows: Rows = []
    parts: dict[str, Part] = {}
    for name, (wide, level) in zip(names, [*places, (channels[-1], last)], strict=True):
        sides = {side: f"{side}/{2**level}" if level else side for side in ("height", "width")}
        rows.append((name, "float32", "batch", wide, *sides.values()))
        parts |= {axis: Part(side, over=2**level) for side, axis in sides.items() if level}
    return rows, parts


def _axes(folder: ModelFolder, parts: Mapping[str, Part] | None = None) -> dict[str, Any]:
    """All axes that may vary; sides in units, so that halving never meets an odd number."""
    multiple = folder.latent_multiple
    units = {
        side: Dim(f"{side}_units", min=1, max=MAX_EXPORT_SIDE // multiple)
        for side in ("height", "width")
    }
    sides = {"height": Part("height"), "width": Part("width"), **(parts or {})}
    axes = {name: _times(part.of(multiple), units[part.axis]) for name, part in sides.items()}
    axes |= {"batch": batch_axis(), "tokens": Dim("tokens", min=2, max=MAX_EXPORT_TOKENS)}
    axes["slots"] = slots_axis()
    axes["identities"] = Dim("identities", min=1, max=MAX_EXPORT_IDENTITIES)
    axes["identity_tokens"] = Dim("identity_tokens", min=1, max=MAX_EXPORT_TOKENS)
    for i in range(len(anchor_widths(folder.unet))):
        axes[f"anchor_{i}_tokens"] = Dim(f"anchor_{i}_tokens", min=1, max=MAX_EXPORT_TOKENS)
    return axes


def _times(times: int, units: Any) -> Any:
    return units if times == 1 else times * units


def _residuals(told: Mapping[str, Tensor]) -> dict[str, Any]:
    if "control_mid" not in told:
        return {}
    down = [told[f"control_{i}"] for i in range(len([n for n in told if _is_down(n)]))]
    middle = told["control_mid"]
    return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def _is_down(name: str) -> bool:
    return name.startswith("control_") and name != "control_mid"
