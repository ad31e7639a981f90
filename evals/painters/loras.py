"""Styles, and a student, as LoRA files on a folder's parts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from evals.checkpoint import Checkpoint, Part
from evals.errors import EvaluationError
from evals.sample import Sample
from luciole.adapters.lora import LoraMismatch
from luciole.adapters.lora_file import read_lora, weights_hash
from luciole.bundle import sha256
from luciole.shipped import shipped_styles

FILE = "pytorch_lora_weights.safetensors"
STUDENT = "student"


class Loras:
    """Loaded once; each sample has its own mix of the styles, a student is always on."""

    def __init__(self, checkpoint: Checkpoint, parts: Any) -> None:
        self._name, self._parts = checkpoint.name, parts
        self._weights: dict[str, float] = {}
        self._triggers: dict[str, str] = {}
        self._hashes: dict[str, str] = {}
        self._always: dict[str, float] = {}
        chosen = [
            (part, file)
            for kind in ("style", STUDENT)
            for part in checkpoint.of(kind)
            for file in self._files(part)
        ]
        self._check(chosen)
        for part, file in chosen:
            self._load(part, file)

    def _check(self, chosen: list[tuple[Part, Path]]) -> None:
        """All of them, before the first one changes the model."""
        names = ("unet", "text_encoder", "text_encoder_2")
        models = {name: getattr(self._parts, name) for name in names}
        base = weights_hash(models["unet"]) if chosen else None
        for part, file in chosen:
            try:
                read_lora(file, models, base)
            except (LoraMismatch, OSError) as error:
                raise EvaluationError(self._name, f"{part.kind}: {error}") from error

    def _load(self, part: Part, file: Path) -> None:
        told = metadata(file)
        name = told.get("name", file.parent.name) if part.kind == "style" else STUDENT
        if name in self._hashes:
            raise EvaluationError(self._name, f"{part.kind} {name!r} comes twice")
        self._hashes[name] = sha256(file)
        if part.kind == "style":
            self._weights[name], self._triggers[name] = part.weight, told.get("trigger", "")
        else:
            self._always[name] = part.weight
        self._parts.load_lora_weights(
            str(file.parent), weight_name=file.name, adapter_name=_adapter(name)
        )

    def _files(self, part: Part) -> list[Path]:
        """A file, a folder, the name of a shipped style, or `all` of those."""
        known = {file.parent.name: file for file in shipped_styles()}
        if part.kind == "style" and part.what == "all":
            return list(known.values())
        place = Path(part.what)
        for file in (place, place / FILE, known.get(part.what.replace(" ", "_"))):
            if file is not None and file.is_file():
                return [file]
        there = ", ".join(known) or "none"
        words = f"{part.kind}: no LoRA at {part.what!r}; shipped styles: {there}"
        raise EvaluationError(self._name, words)

    def mix(self, sample: Sample) -> dict[str, float]:
        """The styles of a sample and their weights."""
        asked = dict(self._weights.items() if sample.styles is None else sample.styles)
        return {name: weight for name, weight in asked.items() if name in self._weights}

    def prompt(self, sample: Sample) -> str:
        """The words that call its styles, then its own."""
        return ", ".join([*(self._triggers[name] for name in self.mix(sample)), sample.prompt])

    def recipe(self, sample: Sample) -> dict[str, list[Any]]:
        """Hash and weight of what is used."""
        weights = self.mix(sample) | self._always
        return {name: [self._hashes[name], weight] for name, weight in weights.items()}

    def use(self, mix: Mapping[str, float]) -> None:
        """Set the parts to a mix."""
        if not self._hashes:
            return
        weights = {_adapter(name): weight for name, weight in {**mix, **self._always}.items()}
        if weights:
            self._parts.enable_lora()
            self._parts.set_adapters(list(weights), list(weights.values()))
        else:
            self._parts.disable_lora()


def metadata(file: Path) -> dict[str, str]:
    """What a LoRA file says of itself."""
    with safe_open(file, "pt") as stored:
        return dict(stored.metadata() or {})


def _adapter(name: str) -> str:
    """Names of modules have no dots and no spaces."""
    return "lora_" + "".join(c if c.isalnum() else "_" for c in name)
