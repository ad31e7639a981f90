"""The trained pocket model that comes with Luciole, and its styles."""

from pathlib import Path


def shipped_model() -> Path:
    """Its diffusers folder."""
    return Path(__file__).with_name("pocket")


def shipped_styles() -> tuple[Path, ...]:
    """LoRA files of pocket, by name."""
    return tuple(sorted(Path(__file__).parent.glob("styles/*/pytorch_lora_weights.safetensors")))


def shipped_guides() -> dict[str, Path]:
    """Folders of what guides pocket, those that are there, by the names of export's settings."""
    folders = {"vision": "image_encoder", "looks": "looks", "identity": "identity"}
    folders |= {name: name for name in ("control_pose", "control_depth")}
    found = {name: Path(__file__).with_name(folder) for name, folder in folders.items()}
    return {name: folder for name, folder in found.items() if folder.is_dir()}
