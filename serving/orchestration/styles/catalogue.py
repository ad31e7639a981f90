"""All styles that can be asked for: those of the bundle, and LoRA files in a folder."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from luciole.bundle import BankSpec, Bundle
from luciole.domain import InvalidRequest
from luciole.engines.bank import Factors, Style
from luciole.engines.styles import Shelved
from serving.orchestration.styles import blocks
from serving.orchestration.styles.card import Beside, StyleCard, preview_of, split_words, told_by
from serving.orchestration.styles.files import TEXT, InvalidStyle, LoraFile, metadata_of, read_file
from serving.orchestration.styles.interference import Shape

KEPT = 16
"""Styles whose matrices are kept taken apart."""


class Refused(BaseModel):
    """A file of the folder that is not served, and why."""

    model_config = ConfigDict(frozen=True)

    file: str
    why: str


@dataclass(frozen=True)
class _Entry:
    card: StyleCard
    file: Path
    key: str
    """Changes with the file's content."""


@dataclass(frozen=True)
class _Stamp:
    """When a file was last seen to change."""

    modified: int
    size: int


class Catalogue:
    """Looks at the folder again whenever it is asked; files that stayed the same are not read."""

    def __init__(self, bundle: Bundle, folder: Path | None = None) -> None:
        self._bundle, self._folder = bundle, folder
        self._lock = threading.Lock()
        self._seen: dict[Path, tuple[tuple[_Stamp, ...], _Entry | Refused]] = {}
        self._shapes: OrderedDict[str, Shape] = OrderedDict()
        banks = bundle.manifest.banks
        self._spec = banks[0] if banks else None
        self._layers = tuple(layer for bank in banks for layer in bank.layers)
        self._own = self._shipped() if banks else {}

    @property
    def most_places(self) -> int:
        """Of the engine's bank that one picture can mix; 0 where its graph takes no styles."""
        return 0 if self._spec is None else self._spec.styles

    def cards(self) -> list[StyleCard]:
        """By name."""
        return [entry.card for _, entry in sorted(self._entries().items())]

    def refused(self) -> list[Refused]:
        """Files that are no styles of this model; they are not forgotten in silence."""
        return [found for found in self._looked_at() if isinstance(found, Refused)]

    def card(self, name: str) -> StyleCard:
        """InvalidRequest names what there is where there is no such style."""
        return self._entry(name).card

    def preview(self, name: str) -> tuple[bytes, str] | None:
        """A picture and its type, for those that have one."""
        entry = self._entry(name)
        return preview_of(entry.file, metadata_of(entry.file)) if entry.card.preview else None

    def key(self, name: str) -> str:
        """Under which an engine may keep the style: another one when its file changes."""
        style, weights = blocks.parse_variant(name)
        return blocks.variant(self._entry(style).key, weights)

    def find(self, name: str) -> Shelved:
        """As an engine asks for it; a variant is a style of its own there."""
        card = self._entry(blocks.parse_variant(name)[0]).card
        return Shelved(self.key(name), card.places, card.words)

    def read(self, name: str) -> Style:
        """The matrices; a variant's are those of its style times the weights of its blocks."""
        style, weights = blocks.parse_variant(name)
        factors = self._read(self._entry(style)).style
        if not weights:
            return factors
        return {
            path: Factors(one.down, one.up * blocks.weight_of(path, weights))
            for path, one in factors.items()
        }

    def shape(self, name: str) -> Shape:
        """The style taken apart; the latest are kept."""
        key = self.key(name)
        with self._lock:
            if key in self._shapes:
                self._shapes.move_to_end(key)
                return self._shapes[key]
        shape = Shape(self.read(name))
        with self._lock:
            self._shapes[key] = shape
            while len(self._shapes) > KEPT:
                self._shapes.popitem(last=False)
        return shape

    def _entry(self, name: str) -> _Entry:
        if name in self._own:
            return self._own[name]
        entries = self._entries()
        if name not in entries:
            there = ", ".join(sorted(entries)) or "none"
            raise InvalidRequest("styles", f"{name!r} is not here; there are {there}")
        return entries[name]

    def _entries(self) -> dict[str, _Entry]:
        found = [one for one in self._looked_at() if isinstance(one, _Entry)]
        return {one.card.name: one for one in found} | self._own

    def _looked_at(self) -> list["_Entry | Refused"]:
        if self._folder is None or not self._folder.is_dir() or self._spec is None:
            return []
        with self._lock:
            files = sorted(self._folder.glob("*.safetensors"))
            self._seen = {file: self._look(file, self._spec) for file in files}
            return [found for _, found in self._seen.values()]

    def _look(self, file: Path, spec: BankSpec) -> tuple[tuple[_Stamp, ...], "_Entry | Refused"]:
        stamps = tuple(
            _Stamp(told.st_mtime_ns, told.st_size)
            for one in (file, *sorted(file.parent.glob(f"{file.stem}.*")))
            if (told := one.stat())
        )
        known = self._seen.get(file)
        if known is not None and known[0] == stamps:
            return known
        try:
            return stamps, self._listed(file, spec)
        except InvalidStyle as error:
            return stamps, Refused(file=error.field, why=error.message)

    def _listed(self, file: Path, spec: BankSpec) -> _Entry:
        if file.stem in self._own:
            raise InvalidStyle(file.name, "has the name of a style of the bundle; rename it")
        if "@" in file.stem or len(file.stem) > 60:
            raise InvalidStyle(file.name, "must have a name of at most 60 letters without '@'")
        lora = read_file(file, self._layers)
        places = -(-lora.rank // spec.rank)
        if places > spec.styles:
            most = spec.rank * spec.styles
            raise InvalidStyle(file.name, f"has the rank {lora.rank}; a picture mixes up to {most}")
        told = told_by(lora.metadata, Beside.of(file), file.stem)
        card = _card(file.stem, lora, places, told, preview_of(file, lora.metadata) is not None)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return _Entry(card, file, f"{file.stem}#{digest[:12]}")

    def _shipped(self) -> dict[str, _Entry]:
        """The bundle's own, as its manifest tells; their files were proven when it was made."""
        entries = {}
        for name, told in self._bundle.manifest.styles.items():
            file = self._bundle.file(told.file)
            lora = read_file(file, self._layers)
            words = split_words(told.trigger)
            fields = {"title": name, "triggers": words, "licence": told.licence}
            entries[name] = _Entry(_card(name, lora, told.places, fields, False), file, name)
        return entries

    def _read(self, entry: _Entry) -> LoraFile:
        return read_file(entry.file, self._layers)


def _card(
    name: str, lora: LoraFile, places: int, told: Mapping[str, object], preview: bool
) -> StyleCard:
    shape = {"rank": lora.rank, "layers": len(lora.style), "maker": lora.maker, "places": places}
    words = any(path.startswith(TEXT) for path in lora.style)
    known = {"name": name, "preview": preview, "words": words}
    return StyleCard.model_validate({**known, **told, **shape})
