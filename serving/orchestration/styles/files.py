"""LoRA files of three makers, read without torch; every key finds its layer or is an error."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError, deserialize, safe_open

from luciole.adapters.kohya_names import PREFIXES, kohya_name
from luciole.bundle import BankLayer
from luciole.domain import InvalidRequest
from luciole.engines.bank import Factors, Style

UNET, TEXT = "unet.", "text_encoder"
ADAPTER_METADATA = "lora_adapter_metadata"
_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
_KEY = re.compile(
    r"(?P<layer>.+?)\.(?:(?P<down>lora_A\.weight|lora_down\.weight|lora\.down\.weight|down)"
    r"|(?P<up>lora_B\.weight|lora_up\.weight|lora\.up\.weight|up)|(?P<alpha>alpha))"
)
_OTHERS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "lora_mid": "a LoRA of convolutions",
}
Tensors = Mapping[str, Float32[np.ndarray, "..."]]


class InvalidStyle(InvalidRequest):
    """A file that is no style, or one of another model; `field` is the file."""

    code = "invalid_style"


@dataclass(frozen=True)
class LoraFile:
    """What a file holds: `maker` is luciole, diffusers or kohya."""

    style: Style
    maker: str
    metadata: Mapping[str, str]

    @property
    def rank(self) -> int:
        """The highest of its layers."""
        return max(len(factors.down) for factors in self.style.values())


def read_file(file: Path, layers: Sequence[BankLayer]) -> LoraFile:
    """The changes of a model's layers; InvalidStyle names the file and the key at fault."""
    try:
        metadata = metadata_of(file)
        raw = deserialize(file.read_bytes())  # type: ignore[no-untyped-call]
        tensors = {name: _floats(name, told) for name, told in raw}
    except (SafetensorError, OSError) as error:
        raise InvalidStyle(file.name, f"is not a safetensors file: {error}") from error
    except InvalidRequest as error:
        raise InvalidStyle(file.name, f"{error.field}: {error.message}") from error
    try:
        style, maker = _style(tensors, metadata, layers)
    except InvalidRequest as error:
        raise InvalidStyle(file.name, f"{error.field}: {error.message}") from None
    return LoraFile(style, maker, metadata)


def metadata_of(file: Path) -> dict[str, str]:
    """What the header says; SafetensorError where there is none."""
    with safe_open(file, "np") as stored:
        return dict(stored.metadata() or {})


def _floats(name: str, told: Mapping[str, Any]) -> Float32[np.ndarray, "..."]:
    kind, shape = told["dtype"], told["shape"]
    if kind == "BF16":  # the upper half of a float32, which numpy does not know
        halves = np.frombuffer(told["data"], np.uint16).astype(np.uint32) << 16
        return halves.view(np.float32).reshape(shape)
    if kind not in _DTYPES:
        raise InvalidRequest(name, f"holds {kind} numbers; floats are needed")
    return np.frombuffer(told["data"], _DTYPES[kind]).astype(np.float32).reshape(shape)


def _style(
    tensors: Tensors, metadata: Mapping[str, str], layers: Sequence[BankLayer]
) -> tuple[Style, str]:
    groups: dict[str, dict[str, Any]] = {}
    named, makers = _Names(layers), set()
    for key, tensor in tensors.items():
        found = _KEY.fullmatch(key)
        if found is None:
            raise InvalidRequest(key, _unread(key))
        path, maker = named.layer(key, found["layer"])
        makers.add(maker)
        part = "down" if found["down"] else "up" if found["up"] else "alpha"
        if part in groups.setdefault(path, {}):
            raise InvalidRequest(key, f"is the second {part} of {path}")
        groups[path][part] = tensor
    if not groups:
        raise InvalidRequest("file", "holds no layers")
    if len(makers) > 1:
        raise InvalidRequest("file", f"mixes keys of {' and '.join(sorted(makers))}")
    alphas = _alphas(metadata)
    shapes = {layer.path: layer for layer in layers}
    style = {path: _factors(shapes[path], group, alphas) for path, group in groups.items()}
    return style, makers.pop()


class _Names:
    """What each maker calls the layers of this model."""

    def __init__(self, layers: Sequence[BankLayer]) -> None:
        self._paths = {layer.path for layer in layers}
        per_block = _layers_per_block(self._paths)
        self._kohya: dict[str, str] = {}
        self._diffusers: dict[str, str] = {}
        for path in self._paths:
            whole = path if path.startswith(TEXT) else UNET + path
            part, _, inner = whole.partition(".")
            flat = f"{PREFIXES[part]}_{inner.replace('.', '_')}"
            self._kohya |= {kohya_name(whole, per_block): path, flat: path}
            self._diffusers[_outer(whole)] = path

    def layer(self, key: str, name: str) -> tuple[str, str]:
        """The path in the model and the maker; InvalidRequest names the key."""
        if name in self._kohya:
            return self._kohya[name], "kohya"
        plain = name if name.startswith((TEXT, UNET)) else UNET + name
        if _outer(plain) in self._diffusers:
            ours = key.removeprefix(name) in (".down", ".up")
            return self._diffusers[_outer(plain)], "luciole" if ours else "diffusers"
        if name.startswith((TEXT, PREFIXES["text_encoder"], PREFIXES["text_encoder_2"])):
            raise InvalidRequest(key, "the text encoders have no such layer that takes styles")
        raise InvalidRequest(key, "the model has no such layer that takes styles")


def _outer(name: str) -> str:
    """Without the inner name of text encoders, which versions of their library leave out or not."""
    return name.replace(".text_model.", ".", 1) if name.startswith(TEXT) else name


def _layers_per_block(paths: set[str]) -> int:
    places = [re.match(r"down_blocks\.\d+\.attentions\.(\d+)\.", path) for path in paths]
    return max((int(place[1]) + 1 for place in places if place), default=1)


def _unread(key: str) -> str:
    kind = next((kind for part, kind in _OTHERS.items() if part in key), None)
    return f"is {kind}, which is no sum of matrices here" if kind else "nothing here reads this key"


def _alphas(metadata: Mapping[str, str]) -> dict[str, float]:
    """By layer or, for all others of a part, by its name, where peft's settings came along."""
    try:
        told = json.loads(metadata.get(ADAPTER_METADATA, "{}"))
    except json.JSONDecodeError as error:
        raise InvalidRequest(ADAPTER_METADATA, f"is not JSON: {error.msg}") from error
    alphas: dict[str, float] = {}
    for part in PREFIXES:
        if told.get(f"{part}.use_dora"):
            raise InvalidRequest(ADAPTER_METADATA, _unread("dora_scale"))
        special = told.get(f"{part}.alpha_pattern") or {}
        alphas |= {_outer(f"{part}.{path}"): float(alpha) for path, alpha in special.items()}
        if f"{part}.lora_alpha" in told:
            alphas[part] = float(told[f"{part}.lora_alpha"])
    return alphas


def _alpha(path: str, rank: int, alphas: Mapping[str, float]) -> float:
    """By diffusers' convention alpha is the rank where nothing is said."""
    whole = path if path.startswith(TEXT) else UNET + path
    return alphas.get(_outer(whole), alphas.get(whole.partition(".")[0], rank))


def _factors(layer: BankLayer, group: Mapping[str, Any], alphas: Mapping[str, float]) -> Factors:
    for part in ("down", "up"):
        if part not in group:
            raise InvalidRequest(layer.path, f"the file has no {part} matrix for it")
    down, up = (_matrix(group[part]) for part in ("down", "up"))
    rank = len(down)
    if down.shape[1:] != (layer.inputs,) or up.shape != (layer.outputs, rank):
        found, wanted = (*up.shape[:1], *down.shape[1:]), (layer.outputs, layer.inputs)
        raise InvalidRequest(layer.path, f"made for a layer of shape {found}, this is {wanted}")
    alpha = float(group["alpha"]) if "alpha" in group else _alpha(layer.path, rank, alphas)
    if not (np.isfinite(down).all() and np.isfinite(up).all() and np.isfinite(alpha)):
        raise InvalidRequest(layer.path, "is not finite")
    return Factors(down, up * np.float32(alpha / rank))


def _matrix(tensor: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "rows columns"]:
    """Kohya stores some linear layers as convolutions of one pixel."""
    return tensor[:, :, 0, 0] if tensor.shape[2:] == (1, 1) else tensor
