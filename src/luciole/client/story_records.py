"""What the service answers about characters, storyboards, versions, prompts and styles."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from luciole.domain import Emphasis, StyleUse
from luciole.domain.character import Box, Consent, Facet


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Reference(_Record):
    """A picture of a character; `url` opens the part that counts for a while."""

    picture: str
    crop: str
    box: Box
    facet: Facet
    url: str


class Character(_Record):
    """One version of a character."""

    id: str
    name: str
    version: int
    words: dict[Facet, str]
    references: list[Reference]
    consent: Consent


class FoundCharacter(_Record):
    """A character and how well it fits: 1 is perfect."""

    character: Character
    score: float


class SavedCharacter(Character):
    """A character as it was saved, and others that look almost the same."""

    near: list[FoundCharacter]


class CharacterVersion(_Record):
    """A version of a character, without its pictures."""

    version: int
    name: str
    words: dict[Facet, str]
    references: int


class StoryboardCard(_Record):
    """A storyboard in a list."""

    id: str
    title: str
    frames: int
    created_at: datetime
    changed_at: datetime


class Storyboard(StoryboardCard):
    """A storyboard as it was written."""

    document: dict[str, Any]


class Frame(_Record):
    """A frame, and its picture unless it is stale."""

    name: str
    stale: bool
    looks_at: list[str]
    left_out: list[str]
    sha256: str | None
    url: str | None
    attempts: int | None
    likeness: dict[str, float] | None
    drifted: list[str] | None


class Frames(_Record):
    """All frames in the order of the story; `cost` of a build in steps x megapixels."""

    stale: int
    cost: float
    frames: list[Frame]


class Build(_Record):
    """A job that draws the frames `drawing` and then makes the album."""

    job_id: str
    status_url: str
    cancel_url: str
    drawing: list[str]


class KeptFile(_Record):
    """A picture of a version; `url` opens it for a while."""

    sha256: str
    url: str


class Version(_Record):
    """A node of a tree; `request` makes it again."""

    id: str
    subject: str
    parent: str | None
    job: str | None
    label: str | None
    request: dict[str, Any]
    assets: list[KeptFile]
    created_at: datetime


class Parsed(_Record):
    """A prompt as it was read; `prompt`, `negative_prompt`, `emphasis` and `styles` make a plan."""

    tree: dict[str, Any]
    prompt: str
    negative_prompt: str
    emphasis: list[Emphasis]
    styles: list[StyleUse]
    untaught: list[dict[str, Any]] | None


class Expanded(Parsed):
    """The same of the expanded prompt, with everything that was proposed."""

    written: str
    negative_written: str
    proposals: list[dict[str, Any]]


class Styles(_Record):
    """All styles by name, and files that are not served with the reason."""

    data: list[dict[str, Any]]
    refused: list[dict[str, Any]]
