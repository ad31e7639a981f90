"""The trained pocket model that comes with Luciole, and its styles."""

from pathlib import Path


def shipped_model() -> Path:
    """Its diffusers folder."""
    return Path(__file__).with_name("pocket")


def shipped_styles() -> tuple[Path, ...]:
    """LoRA files of pocket, by name."""
    return tuple(sorted(Path(__file__).parent.glob("styles/*/pytorch_lora_weights.safetensors")))
