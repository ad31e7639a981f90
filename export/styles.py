"""Styles as a bundle carries them: LoRA files of any trainer, checked against the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from export.folder import ModelFolder
from export.streamed import is_streamed, streamed_hash
from luciole.adapters.lora import Factors as Learned
from luciole.adapters.lora import LoraMismatch
from luciole.adapters.lora_file import read_lora, weights_hash
from luciole.bundle import BankSpec, StyleSpec
from luciole.domain import LucioleError
from luciole.engines.bank import Factors, Style, StyleBank
from luciole.engines.styles import write_style

UNET = "unet."
WORDS = ("text_encoder.", "text_encoder_2.")


class StyleFileError(LucioleError):
    """The file is no style that this model's engine can take; `field` is the file."""

    code = "invalid_style"


@dataclass(frozen=True)
class ReadStyle:
    """A style on its way into a bundle."""

    name: str
    trigger: str
    licence: str
    style: Style


def read_styles(files: Sequence[Path], folder: ModelFolder) -> list[ReadStyle]:
    """In order of the files; StyleFileError names the first that does not fit this model."""
    hash_of = streamed_hash if is_streamed(folder.unet) else weights_hash
    base = hash_of(folder.unet) if files else ""
    styles = [_read(file, folder, base) for file in files]
    names = [style.name for style in styles]
    for name in names:
        if names.count(name) > 1:
            raise StyleFileError(name, "is the name of two styles; rename one")
    return styles


def write_styles(
    styles: Sequence[ReadStyle], banks: Sequence[BankSpec], out: Path
) -> dict[str, StyleSpec]:
    """Write `styles/<name>.safetensors`; what the manifest says of each."""
    written = {}
    spec = banks[0]
    for one in styles:
        places = max(-(-len(factors.down) // spec.rank) for factors in one.style.values())
        if places > spec.styles:
            most = spec.rank * spec.styles
            raise StyleFileError(one.name, f"has a rank above {most}, the most a picture can mix")
        try:
            StyleBank(banks, places + 1).load(one.name, one.style)
        except LucioleError as error:
            raise StyleFileError(one.name, error.message) from error
        file = f"styles/{one.name}.safetensors"
        (out / "styles").mkdir(exist_ok=True)
        write_style(out / file, one.style)
        written[one.name] = StyleSpec(
            file=file,
            trigger=one.trigger,
            licence=one.licence,
            places=places,
            words=any(layer.startswith(WORDS) for layer in one.style),
        )
    return written


def _read(file: Path, folder: ModelFolder, base: str) -> ReadStyle:
    if not file.is_file():
        raise StyleFileError(str(file), "there is no such file")
    parts = {"unet": folder.unet, "text_encoder": folder.text_encoders[0]}
    parts["text_encoder_2"] = folder.text_encoders[1]
    try:
        layers = read_lora(file, parts, base)
    except LoraMismatch as error:
        raise StyleFileError(file.name, str(error)) from error
    for path, learned in layers.items():
        if learned.magnitude is not None:
            raise StyleFileError(file.name, f"{path}: DoRA is not a sum of styles; train LoRA")
    with safe_open(file, "np") as stored:
        told = stored.metadata() or {}
    return ReadStyle(
        name=told.get("name") or file.stem,
        trigger=told.get("trigger", ""),
        licence=told.get("licence", "unknown"),
        style={path.removeprefix(UNET): _folded(one) for path, one in layers.items()},
    )


def _folded(learned: Learned) -> Factors:
    """With alpha over rank in the upper factor."""
    up = learned.up * (learned.alpha / learned.rank)
    return Factors(learned.down.numpy().astype(np.float32), up.numpy().astype(np.float32))
