"""What a style says of itself, in the words of its maker or of those who use it."""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.orchestration.styles.files import InvalidStyle

MOST_TAGS = 3
"""Taken as trigger words where a file tells only how often its captions had each tag."""
_SUFFIXES = (".preview.png", ".png", ".webp", ".jpg", ".jpeg")
_TYPES = {".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


class Beside(BaseModel):
    """The JSON that A1111 keeps beside a LoRA file, as far as it is ours to use."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    description: str = ""
    triggers: str = Field(default="", alias="activation text")
    intensity: float = Field(default=0.0, alias="preferred weight", ge=-2, le=2)
    """0 there means that nobody said."""

    @classmethod
    def of(cls, file: Path) -> Self:
        """Empty where there is none; InvalidStyle names one that cannot be read."""
        told = file.with_suffix(".json")
        if not told.is_file():
            return cls()
        try:
            return cls.model_validate_json(told.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "it"
            raise InvalidStyle(told.name, f"{place}: {first['msg']}") from error


class StyleCard(BaseModel):
    """A style as a catalogue shows it."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    description: str = ""
    triggers: tuple[str, ...] = ()
    triggers_guessed: bool = False
    """From the tags of its training pictures, for it names none itself."""
    intensity: float = 1.0
    """With which to begin."""
    licence: str = "unknown"
    tags: tuple[str, ...] = ()
    base: str = ""
    """What it was trained on, as it says."""
    maker: str
    rank: int
    layers: int
    places: int
    """Of the engine's bank."""
    words: bool = False
    """Whether it changes how words are understood; such a style cannot take turns."""
    preview: bool = False
    """Whether there is a picture of it."""


def told_by(metadata: Mapping[str, str], beside: Beside, stem: str) -> dict[str, Any]:
    """The fields of a card that a file's header and its neighbour tell; theirs come first."""

    def first(*keys: str) -> str:
        return next((metadata[key] for key in keys if metadata.get(key)), "")

    triggers = beside.triggers or first("modelspec.trigger_phrase", "trigger")
    guessed = () if triggers else common_tags(metadata.get("ss_tag_frequency", ""))
    title = first("modelspec.title", "name", "ss_output_name") or stem
    return {
        "title": title,
        "description": beside.description or first("modelspec.description"),
        "triggers": split_words(triggers) or guessed,
        "triggers_guessed": bool(guessed),
        "intensity": beside.intensity or 1.0,
        "licence": first("modelspec.license", "licence", "license") or "unknown",
        "tags": split_words(first("modelspec.tags", "tags")),
        "base": first("modelspec.architecture", "ss_base_model_version"),
    }


def split_words(text: str) -> tuple[str, ...]:
    """What commas separate."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def common_tags(frequency: str) -> tuple[str, ...]:
    """The tags that nearly all pictures of kohya's `ss_tag_frequency` had."""
    try:
        folders = json.loads(frequency) if frequency else {}
        counts: Counter[str] = Counter()
        for folder in folders.values():
            counts.update({tag.strip(): int(count) for tag, count in folder.items()})
    except (ValueError, AttributeError, TypeError):
        return ()
    most = max(counts.values(), default=0)
    return tuple(tag for tag, count in counts.most_common(MOST_TAGS) if count >= 0.9 * most)


def preview_of(file: Path, metadata: Mapping[str, str]) -> tuple[bytes, str] | None:
    """A picture beside the file, or the thumbnail in its header, with its type."""
    for suffix in _SUFFIXES:
        beside = file.with_name(file.stem + suffix)
        if beside.is_file():
            return beside.read_bytes(), _TYPES[beside.suffix]
    head, _, told = metadata.get("modelspec.thumbnail", "").partition(";base64,")
    kind = head.removeprefix("data:")
    if not told or kind not in _TYPES.values():
        return None
    try:
        return base64.b64decode(told, validate=True), kind
    except binascii.Error:
        return None
