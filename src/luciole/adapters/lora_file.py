"""LoRA files, as diffusers and peft or as kohya's trainer write them, that say what they are.

Reading consumes every key or fails with its name; a file made for other weights is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor, nn

from luciole.adapters.kohya import from_kohya, to_kohya
from luciole.adapters.kohya_names import PREFIXES
from luciole.adapters.lora import Factors, Layers, LoraMismatch, Parts, fitting

ADAPTER_METADATA = "lora_adapter_metadata"
"""Diffusers' header key: the settings of peft for each part."""


@dataclass(frozen=True)
class LoraCard:
    """What a file says about itself, in both formats."""

    name: str
    trigger: str
    licence: str
    tags: tuple[str, ...]
    base_hash: str
    """`weights_hash` of the denoiser it was trained on; empty for files of other trainers."""
    architecture: str
    """ModelSpec's word: `stable-diffusion-xl-v1-base/lora` for SDXL."""
    base_version: str
    """kohya's word: `sdxl_base_v1-0` for SDXL."""
    command: str
    resolution: int
    steps: int
    rate: float
    seed: int
    prediction_type: str
    date: str

    def metadata(self, layers: Layers) -> dict[str, str]:
        """Plain keys, ModelSpec's, and kohya's `ss_`."""
        shapes = {(one.rank, one.alpha) for one in layers.values()}
        rank, alpha = max(shapes)
        return {
            "name": self.name,
            "trigger": self.trigger,
            "licence": self.licence,
            "tags": ", ".join(self.tags),
            "base_hash": self.base_hash,
            "rank": str(rank),
            "alpha": str(alpha),
            "training_command": self.command,
            **self._modelspec(),
            **self._kohya(rank, alpha, layers),
        }

    def _modelspec(self) -> dict[str, str]:
        facts = {
            "sai_model_spec": "1.0.0",
            "architecture": self.architecture,
            "implementation": "diffusers",
            "title": self.name,
            "trigger_phrase": self.trigger,
            "usage_hint": f"begin the prompt with '{self.trigger}'",
            "license": self.licence,
            "tags": ", ".join(self.tags),
            "resolution": f"{self.resolution}x{self.resolution}",
            "prediction_type": "v" if self.prediction_type == "v_prediction" else "epsilon",
            "date": self.date,
        }
        return {f"modelspec.{key}": value for key, value in facts.items()}

    def _kohya(self, rank: int, alpha: float, layers: Layers) -> dict[str, str]:
        facts = {
            "network_module": "networks.lora",
            "network_dim": rank,
            "network_alpha": alpha,
            "network_args": json.dumps({"dora_wd": True} if _has_dora(layers) else {}),
            "base_model_version": self.base_version,
            "sd_model_hash": self.base_hash,
            "output_name": self.name,
            "resolution": f"({self.resolution}, {self.resolution})",
            "learning_rate": self.rate,
            "max_train_steps": self.steps,
            "steps": self.steps,
            "seed": self.seed,
            "v2": False,
            "training_comment": self.command,
        }
        return {f"ss_{key}": str(value) for key, value in facts.items()}


def write_peft(file: Path, layers: Layers, card: LoraCard) -> None:
    """As `StableDiffusionXLPipeline.load_lora_weights` takes it; fp16."""
    tensors: dict[str, Tensor] = {}
    for path, one in layers.items():
        stored = _stored(path)
        tensors[f"{stored}.lora_A.weight"] = one.down
        tensors[f"{stored}.lora_B.weight"] = one.up
        if one.magnitude is not None:
            tensors[f"{stored}.lora_magnitude_vector"] = one.magnitude
    settings = json.dumps(_peft_settings(layers), sort_keys=True)
    _write(file, tensors, {**card.metadata(layers), ADAPTER_METADATA: settings})


def write_kohya(file: Path, layers: Layers, card: LoraCard, layers_per_block: int) -> None:
    """With `lora_unet_`, `lora_te1_` and `lora_te2_` keys; fp16."""
    _write(file, to_kohya(layers, layers_per_block), card.metadata(layers))


def read_lora(file: Path, parts: Parts, base_hash: str | None = None) -> Layers:
    """The layers of a file of either format, ready for these parts, in fp32.

    Raise LoraMismatch, with the file's name, for a key too many or too few, a shape that does not
    fit, and, with `base_hash` (see `weights_hash`), for a file that names other weights.
    """
    tensors, metadata = _open(file)
    told = metadata.get("base_hash")
    if base_hash and told and told != base_hash:
        raise LoraMismatch(
            f"{file}: trained on weights {told}, these are {base_hash}; give it its own base"
        )
    kohya = all(key.startswith(tuple(f"{one}_" for one in PREFIXES.values())) for key in tensors)
    try:
        layers = from_kohya(tensors, parts) if kohya else _from_peft(tensors, metadata, parts)
        fitting(parts, layers)
    except LoraMismatch as mismatch:
        raise LoraMismatch(f"{file}: {mismatch}") from None
    return layers


def weights_hash(module: nn.Module) -> str:
    """Of all weights, as they are in fp16: the same before and after a model is stored so."""
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        digest.update(name.encode() + weight.detach().half().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _open(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(file, "pt") as stored:
            tensors = {key: stored.get_tensor(key).float() for key in stored.keys()}  # noqa: SIM118
            return tensors, stored.metadata() or {}
    except SafetensorError as broken:
        raise LoraMismatch(f"{file}: not a safetensors file ({broken})") from None


def _from_peft(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], parts: Parts) -> Layers:
    kinds = {"lora_A.weight": "down", "lora_B.weight": "up", "lora_magnitude_vector": "magnitude"}
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind = next((kind for kind in kinds if key.endswith(f".{kind}")), None)
        if kind is None:
            raise LoraMismatch(f"{key}: nothing here reads this key")
        path = _path(key.removesuffix(f".{kind}"), parts)
        groups.setdefault(path, {})[kinds[kind]] = tensor
    settings = json.loads(metadata.get(ADAPTER_METADATA, "{}"))
    layers = {}
    for path, group in groups.items():
        if not {"down", "up"} <= set(group):
            lacks = "lora_B" if "down" in group else "lora_A"
            raise LoraMismatch(f"{path}: the file has no {lacks}.weight for it")
        alpha = _alpha(settings, path, group["down"].shape[0])
        layers[path] = Factors(group["down"], group["up"], alpha, group.get("magnitude"))
    return layers


def _alpha(settings: Mapping[str, Any], path: str, rank: int) -> float:
    """By diffusers' convention alpha is the rank where nothing is said."""
    part, inner = path.split(".", maxsplit=1)
    special = settings.get(f"{part}.alpha_pattern") or {}
    return float(special.get(inner, settings.get(f"{part}.lora_alpha", rank)))


def _peft_settings(layers: Layers) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for part in PREFIXES:
        own = {p.removeprefix(f"{part}."): one for p, one in layers.items() if _is_in(p, part)}
        if not own:
            continue
        shapes = [(one.rank, one.alpha) for one in own.values()]
        rank, alpha = max(set(shapes), key=shapes.count)
        ranks = {path: one.rank for path, one in own.items() if one.rank != rank}
        alphas = {path: one.alpha for path, one in own.items() if one.alpha != alpha}
        facts: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "use_dora": _has_dora(own)}
        facts |= {"target_modules": [path.removeprefix("text_model.") for path in own]}
        facts |= {"rank_pattern": ranks, "alpha_pattern": alphas}
        settings |= {f"{part}.{key}": value for key, value in facts.items()}
    return settings


def _write(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    half = {key: tensor.detach().cpu().half().contiguous() for key, tensor in tensors.items()}
    raw = save(half)
    content = raw[8 + int.from_bytes(raw[:8], "little") :]  # all but the header
    digest = hashlib.sha256(content).hexdigest()
    hashes = {"modelspec.hash_sha256": f"0x{digest}", "sshs_model_hash": digest}
    save_file(half, file, metadata={"format": "pt", **metadata, **hashes})


def _stored(path: str) -> str:
    """Files keep the text encoders' inner name, which newer versions of the library leave out."""
    part, inner = path.split(".", maxsplit=1)
    named = part == "unet" or inner.startswith("text_model.")
    return path if named else f"{part}.text_model.{inner}"


def _path(stored: str, parts: Parts) -> str:
    """Back to the name in this model."""
    part, _, inner = stored.partition(".")
    if part not in parts or hasattr(parts[part], "text_model"):
        return stored
    return f"{part}.{inner.removeprefix('text_model.')}"


def _is_in(path: str, part: str) -> bool:
    return path.startswith(f"{part}.")


def _has_dora(layers: Layers) -> bool:
    return any(one.magnitude is not None for one in layers.values())
