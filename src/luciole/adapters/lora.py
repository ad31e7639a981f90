"""LoRA (arXiv:2106.09685) on the parts of a model: attached with peft, and detached again."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

ATTENTION = (r".*\.attn\d\.to_(q|k|v|out\.0)",)
"""The denoiser's attention projections."""
FEED_FORWARD = (r".*\.ff\.net\.(0\.proj|2)",)
CONVOLUTIONS = (r".*\.resnets\.\d+\.conv\d",)
TEXT_ATTENTION = (r".*\.self_attn\.(q|k|v|out)_proj",)


@dataclass(frozen=True)
class Factors:
    """What is learned of one layer: its weight is moved by `alpha / rank · up @ down`.

    `down` [rank, in, ...] and `up` [out, rank, ...]; `magnitude` [out, ...] is DoRA's
    (arXiv:2402.09353).
    """

    down: Tensor
    up: Tensor
    alpha: float
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        """The inner size."""
        return self.down.shape[0]


Layers = dict[str, Factors]
"""By the path of the layer, which begins with its part: `unet.down_blocks.1....to_q`."""
Parts = Mapping[str, Any]
"""`unet`, `text_encoder`, `text_encoder_2`: those that are there to be adapted."""


class LoraMismatch(ValueError):
    """A LoRA that was made for another model; says which layer does not fit."""


class Lora:
    """Low-rank layers beside those of a model. Its own weights stay as they are, and frozen.

    Several can be attached under different names; their effects add up.
    """

    def __init__(self, parts: Parts, layers: Sequence[str], name: str, **shape: Any) -> None:
        self.parts, self.name = dict(parts), name
        self._learnt_before = [p for part in parts.values() for p in part.parameters()]
        self._learnt_before = [p for p in self._learnt_before if p.requires_grad]
        for key, part in self.parts.items():
            paths = [path.removeprefix(f"{key}.") for path in layers if _part(path) == key]
            if paths:
                _inject(part, paths, name, shape, key)

    @classmethod
    def new(
        cls,
        parts: Parts,
        targets: Mapping[str, Sequence[str]],
        rank: int,
        alpha: float,
        dora: bool = False,
        name: str = "style",
    ) -> Self:
        """Changes nothing yet: `up` is zero. `targets` are patterns of layer paths for each part.

        Raise ValueError for a pattern that matches no layer, or a part that is not there.
        """
        layers = [path for key, some in targets.items() for path in matching(parts, key, some)]
        if not layers:
            raise ValueError("targets: nothing to learn; name at least one pattern of layers")
        return cls(parts, layers, name, r=rank, lora_alpha=alpha, use_dora=dora)

    @classmethod
    def of(cls, parts: Parts, layers: Layers, name: str = "style") -> Self:
        """With these weights. Raise LoraMismatch for a layer that is not there or of another shape.

        Nothing is attached then.
        """
        fitting(parts, layers)
        dora = {factors.magnitude is not None for factors in layers.values()}
        if len(dora) != 1:
            raise LoraMismatch("lora: either all layers have DoRA's magnitudes, or none")
        shape = {"r": 1, "lora_alpha": 1.0, "use_dora": dora.pop()}
        ranks = {path: (one.rank, one.alpha) for path, one in layers.items()}
        lora = cls(parts, list(layers), name, ranks=ranks, **shape)
        for path, module in lora._modules():
            _fill(module, layers[path], name)
        return lora

    def layers(self) -> Layers:
        """Copies of what was learned."""
        return {path: _factors(module, self.name) for path, module in self._modules()}

    def factors(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """The path, `down` and `up` of each layer: the weights themselves."""
        for path, module in self._modules():
            a: Any = module.lora_A[self.name]
            b: Any = module.lora_B[self.name]
            yield path, a.weight, b.weight

    def adapts(self, key: str) -> bool:
        """Whether any layer belongs to this part."""
        return any(_part(path) == key for path, _ in self._modules())

    def detach(self) -> None:
        """The parts are what they were, module by module."""
        for key, part in self.parts.items():
            for path, module in list(_lora_modules(part)):
                if self.name in module.lora_A:
                    module.delete_adapter(self.name)
                if not module.lora_A:
                    part.set_submodule(path, module.get_base_layer())
            configs = getattr(part, "peft_config", {})
            configs.pop(self.name, None)
            if not configs and hasattr(self.parts[key], "peft_config"):
                del part.peft_config
        for weight in self._learnt_before:
            weight.requires_grad_(True)

    def _modules(self) -> Iterator[tuple[str, LoraLayer]]:
        for key, part in self.parts.items():
            for path, module in _lora_modules(part):
                if self.name in module.lora_A:
                    yield f"{key}.{path}", module


def matching(parts: Parts, key: str, patterns: Sequence[str]) -> list[str]:
    """Paths of the linear and convolutional layers of a part that some pattern matches whole."""
    if not patterns:
        return []
    if key not in parts:
        raise ValueError(f"targets.{key}: the model has no such part; it has {', '.join(parts)}")
    paths = list(adaptable(parts[key]))
    for pattern in patterns:
        if not any(re.fullmatch(pattern, path) for path in paths):
            raise ValueError(f"targets.{key}: {pattern!r} matches no layer, such as {paths[0]!r}")
    return [f"{key}.{p}" for p in paths if any(re.fullmatch(one, p) for one in patterns)]


def adaptable(part: nn.Module) -> dict[str, nn.Module]:
    """The linear and convolutional layers by path, as if no LoRA were attached."""
    layers: dict[str, nn.Module] = {}
    inside = "\0"
    for path, module in part.named_modules():
        if path.startswith(inside):
            continue
        if isinstance(module, LoraLayer):
            layers[path], inside = module.get_base_layer(), f"{path}."
        elif isinstance(module, nn.Linear | nn.Conv2d):
            layers[path] = module
    return layers


def fitting(parts: Parts, layers: Layers) -> None:
    """Raise LoraMismatch that names the first layer that is missing or has another shape."""
    if not layers:
        raise LoraMismatch("lora: the file holds no layers")
    there = {key: adaptable(part) for key, part in parts.items()}
    for path, factors in layers.items():
        key = _part(path)
        if key not in parts:
            raise LoraMismatch(f"{path}: the model has no part {key!r}")
        module: Any = there[key].get(path.removeprefix(f"{key}."))
        if module is None:
            raise LoraMismatch(f"{path}: the model has no such layer; the LoRA is of another one")
        weight = module.weight
        told = (factors.up.shape[0], *factors.down.shape[1:])
        if told != tuple(weight.shape) or factors.up.shape[1] != factors.rank:
            raise LoraMismatch(
                f"{path}: made for a layer of shape {list(told)}, this one has {list(weight.shape)}"
            )


def overlap(lora: Lora, others: Iterable[Layers]) -> Tensor:
    """How far what a LoRA reads and writes is what others read and write already, 0 to 1.

    For each shared layer the mean of ‖A·Qᵀ‖² / ‖A‖² and ‖Pᵀ·B‖² / ‖B‖², with Q and P orthonormal
    bases of the other's rows of `down` and columns of `up`: cos² of the angle where ranks are 1.
    """
    shares = []
    for other in others:
        for path, down, up in lora.factors():
            if path in other:
                theirs = other[path]
                reads = _share(down.flatten(1), theirs.down.flatten(1).to(down))
                writes = _share(up.flatten(1).T, theirs.up.flatten(1).T.to(up))
                shares.append((reads + writes) / 2)
    if not shares:
        raise LoraMismatch("others: they share no layer with what is trained")
    return torch.stack(shares).mean()


def _share(rows: Tensor, theirs: Tensor) -> Tensor:
    """The part of the rows' energy within the space that others' rows span."""
    basis = torch.linalg.qr(theirs.float().T).Q
    energy = rows.float().pow(2).sum()
    within: Tensor = (rows.float() @ basis).pow(2).sum() / energy.clamp_min(1e-12)
    return within


def _inject(part: Any, paths: list[str], name: str, shape: dict[str, Any], key: str) -> None:
    shape = dict(shape)
    ranks = shape.pop("ranks", {})
    of_part = {path: ranks[f"{key}.{path}"] for path in paths if f"{key}.{path}" in ranks}
    patterns = {f"^{re.escape(path)}": values for path, values in of_part.items()}
    config = LoraConfig(
        target_modules=paths,
        rank_pattern={path: rank for path, (rank, _) in patterns.items()},
        alpha_pattern={path: alpha for path, (_, alpha) in patterns.items()},
        **shape,
    )
    before = list(getattr(part, "peft_config", {}))
    if name in before:
        raise ValueError(f"{key}: a LoRA of the name {name!r} is attached already")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several may be there
        inject_adapter_in_model(config, part, adapter_name=name)
    for _, module in _lora_modules(part):
        module.set_adapter([one for one in (*before, name) if one in module.lora_A])


def _lora_modules(part: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    for path, module in part.named_modules():
        if isinstance(module, LoraLayer):
            yield path, module


@torch.no_grad()
def _fill(module: LoraLayer, factors: Factors, name: str) -> None:
    inner: Any = module
    inner.lora_A[name].weight.copy_(factors.down)
    inner.lora_B[name].weight.copy_(factors.up)
    if factors.magnitude is not None:
        magnitude = inner.lora_magnitude_vector[name].weight
        magnitude.copy_(factors.magnitude.reshape(magnitude.shape))


def _factors(module: LoraLayer, name: str) -> Factors:
    inner: Any = module
    dora = name in inner.lora_magnitude_vector
    return Factors(
        inner.lora_A[name].weight.detach().clone(),
        inner.lora_B[name].weight.detach().clone(),
        float(inner.lora_alpha[name]),
        inner.lora_magnitude_vector[name].weight.detach().clone() if dora else None,
    )


def _part(path: str) -> str:
    return path.split(".", maxsplit=1)[0]
