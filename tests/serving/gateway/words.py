"""A bundle that knows words and no pictures, and styles for it."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from luciole.bundle import (
    BankLayer,
    BankSpec,
    Bundle,
    GraphSpec,
    Manifest,
    PromptSettings,
    TextEncoding,
)
from luciole.shipped import shipped_model

LAYERS = [f"{block}.attentions.0.proj_in" for block in ("down_blocks.1", "up_blocks.0")]


def bundle() -> Bundle:
    """The shipped model's tokenizers, and a bank of two layers."""
    encodings = [
        TextEncoding(folder=folder, bos=816, eos=817, pad=817)
        for folder in ("tokenizer", "tokenizer_2")
    ]
    layers = tuple(BankLayer(path=path, inputs=6, outputs=4) for path in LAYERS)
    bank = BankSpec(name="denoiser", rank=8, styles=4, layers=layers)
    manifest = Manifest.model_construct(
        name="pocket",
        files={},
        styles={},
        graphs={"denoiser": GraphSpec(file="", inputs=(), outputs=(), bank=bank)},
        prompt=PromptSettings(
            tokenizers=(encodings[0], encodings[1]), zeros_for_empty_negative=False
        ),
    )
    return Bundle(shipped_model(), manifest)


def save_style(folder: Path, name: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    tensors = {}
    for path in LAYERS:
        tensors[f"unet.{path}.lora_A.weight"] = chance.standard_normal((2, 6)).astype(np.float32)
        tensors[f"unet.{path}.lora_B.weight"] = chance.standard_normal((4, 2)).astype(np.float32)
    save_file(tensors, folder / f"{name}.safetensors", {"trigger": f"{name} style"})
