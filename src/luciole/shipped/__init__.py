"""What comes with Luciole."""

from pathlib import Path


def shipped_model() -> Path:
    """The diffusers folder of the base model."""
    return Path(__file__).parent / "pocket"
