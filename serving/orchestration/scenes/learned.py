"""LoRA files that a storyboard's characters were learned in, as an engine's bank takes them."""

import hashlib
from pathlib import Path

from luciole.bundle import Bundle
from luciole.domain import InvalidRequest
from luciole.engines.bank import Style
from luciole.engines.styles import BundleShelf, Shelved
from serving.orchestration.styles.files import TEXT, LoraFile, read_file


class Learned:
    """Files by the SHA-256 of their bytes, so that a file that changes makes its frames stale."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}

    def put(self, field: str, file: Path) -> str:
        """Keep a file's place; its name. InvalidRequest names the field if there is none."""
        try:
            name = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            words = f"{file.name} cannot be read: {error.strerror}"
            raise InvalidRequest(field, words) from error
        self._files[name] = file
        return name

    def file(self, name: str) -> Path | None:
        """Where a file is; None for one that was never put here."""
        return self._files.get(name)


class LearnedShelf:
    """The files of a storyboard, and the styles that come with a bundle."""

    def __init__(self, bundle: Bundle, learned: Learned) -> None:
        self._bundle, self._learned, self._shipped = bundle, learned, BundleShelf(bundle)

    def find(self, name: str) -> Shelved:
        """InvalidStyle names a file that was made for another model."""
        file = self._learned.file(name)
        if file is None:
            return self._shipped.find(name)
        lora = self._lora(file)
        places = -(-lora.rank // self._bundle.manifest.banks[0].rank)
        return Shelved(name, places, any(path.startswith(TEXT) for path in lora.style))

    def read(self, name: str) -> Style:
        """What the file changes; InvalidStyle where it is of another model."""
        file = self._learned.file(name)
        return self._shipped.read(name) if file is None else self._lora(file).style

    def _lora(self, file: Path) -> LoraFile:
        layers = [layer for bank in self._bundle.manifest.banks for layer in bank.layers]
        return read_file(file, layers)
