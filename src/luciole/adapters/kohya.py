"""Names of layers as kohya's trainer writes them for SDXL, which most other tools read."""

from collections.abc import Mapping
from typing import Any

from luciole.adapters.lora import Factors, Layers, LoraMismatch, Parts, adaptable

PREFIXES = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_INSIDE_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def kohya_name(path: str, layers_per_block: int) -> str:
    """`unet.down_blocks.1.attentions.0.proj_in` to `lora_unet_input_blocks_4_1_proj_in`."""
    part, inner = path.split(".", maxsplit=1)
    if part == "unet":
        inner = _original(inner, layers_per_block)
    elif not inner.startswith(("text_model.", "text_projection")):
        inner = f"text_model.{inner}"
    return f"{PREFIXES[part]}_{inner.replace('.', '_')}"


def to_kohya(layers: Layers, layers_per_block: int) -> dict[str, Any]:
    """Tensors by kohya's keys; `dora_scale` where there are magnitudes."""
    tensors: dict[str, Any] = {}
    for path, one in layers.items():
        name = kohya_name(path, layers_per_block)
        tensors[f"{name}.lora_down.weight"] = one.down
        tensors[f"{name}.lora_up.weight"] = one.up
        tensors[f"{name}.alpha"] = one.down.new_tensor(one.alpha)
        if one.magnitude is not None:
            shape = (-1, *(1 for _ in one.down.shape[1:]))
            tensors[f"{name}.dora_scale"] = one.magnitude.reshape(shape)
    return tensors


def from_kohya(tensors: Mapping[str, Any], parts: Parts) -> Layers:
    """Every key finds its layer, or LoraMismatch names it.

    Names after the original SDXL and after diffusers are both in use, so both are known.
    """
    known = _known(parts)
    groups: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        name, _, kind = key.partition(".")
        if name not in known:
            raise LoraMismatch(f"{key}: the model has no layer of this name")
        groups.setdefault(known[name], {})[kind] = tensor
    return {path: _factors(path, group) for path, group in groups.items()}


def _factors(path: str, group: dict[str, Any]) -> Factors:
    missing = {"lora_down.weight", "lora_up.weight"} - set(group)
    extra = set(group) - {"lora_down.weight", "lora_up.weight", "alpha", "dora_scale"}
    if missing or extra:
        what = f"no {min(missing)}" if missing else f"{min(extra)}, which nothing here reads"
        raise LoraMismatch(f"{path}: the file has {what}")
    down = group["lora_down.weight"]
    alpha = float(group["alpha"]) if "alpha" in group else float(down.shape[0])
    magnitude = group.get("dora_scale")
    return Factors(down, group["lora_up.weight"], alpha, magnitude)


def _known(parts: Parts) -> dict[str, str]:
    known = {}
    for key, part in parts.items():
        per_block = part.config.layers_per_block if key == "unet" else 0
        for inner in adaptable(part):
            path = f"{key}.{inner}"
            known[kohya_name(path, per_block)] = path
            known[f"{PREFIXES[key]}_{inner.replace('.', '_')}"] = path
    return known


def _original(path: str, layers_per_block: int) -> str:
    """The name that a layer of the denoiser has in SDXL's first release."""
    if path in _OUTSIDE:
        return _OUTSIDE[path]
    steps = path.split(".")
    if steps[0] == "mid_block":
        place = 1 if steps[1] == "attentions" else 2 * int(steps[2])
        return ".".join(["middle_block", str(place), *_renamed(steps[1], steps[3:])])
    side, level, kind, index = steps[0], int(steps[1]), steps[2], int(steps[3])
    first = level * (layers_per_block + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers_per_block + 1}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{first + layers_per_block}.2.conv"
    block = f"input_blocks.{1 + first + index}" if side == "down_blocks" else ""
    block = block or f"output_blocks.{first + index}"
    return ".".join([block, "1" if kind == "attentions" else "0", *_renamed(kind, steps[4:])])


def _renamed(kind: str, inner: list[str]) -> list[str]:
    return [_INSIDE_RESNET[inner[0]]] if kind == "resnets" else inner
