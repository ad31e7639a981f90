"""Names of layers as kohya's trainer writes them for SDXL, which most other tools read."""

from collections.abc import Mapping
from typing import Any

from luciole.adapters.kohya_names import PREFIXES, kohya_name
from luciole.adapters.lora import Factors, Layers, LoraMismatch, Parts, adaptable


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
