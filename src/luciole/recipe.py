"""What a bundle is made of, and by which code: one hash."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from luciole.bundle import folder_hash, sha256

LIBRARY = Path(__file__).parent
CODE = ("bundle.py", "engines/styles.py", "models/*.py", "adapters/*.py")
"""Of the library, what decides about graphs and weights."""


def recipe(exporter: Path, model: Path, styles: Iterable[Path], guides: Iterable[Path]) -> str:
    """SHA-256 over the exporter's sources, the model's folder, LoRA files and guides' folders."""
    code = [file for pattern in CODE for file in LIBRARY.glob(pattern)]
    facts = [
        *sorted(sha256(file) for file in [*code, *exporter.rglob("*.py")]),
        folder_hash(model),
        *sorted(sha256(file) for file in styles),
        *sorted(folder_hash(folder) for folder in guides),
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
