"""The parts of the client for programs that wait, each about one kind of thing."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from luciole.client import story_calls
from luciole.client.calls import Call
from luciole.client.records import Job, Page
from luciole.client.story_records import (
    Build,
    Character,
    CharacterVersion,
    Expanded,
    FoundCharacter,
    Frames,
    Parsed,
    SavedCharacter,
    Storyboard,
    StoryboardCard,
    Styles,
    Version,
)
from luciole.domain.character import Box

T = TypeVar("T")


class Send(Protocol):
    """Sends a call and reads its answer."""

    def __call__(self, call: Call[T]) -> T:
        """Errors are those of `luciole.client.errors`."""
        ...


class Characters:
    """Who can be drawn again."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def create(
        self,
        name: str,
        *,
        given_by: str,
        basis: str = "fictional",
        words: Mapping[str, str] | None = None,
        pictures: Sequence[Mapping[str, Any]] = (),
        files: Sequence[bytes] = (),
    ) -> SavedCharacter:
        """Remember somebody by assets (`{"sha256": ..., "facet": ..., "box": ...}`) or files."""
        consent = {"basis": basis, "given_by": given_by}
        card = {"name": name, "words": words or {}, "pictures": pictures, "consent": consent}
        return self._send(story_calls.create_character(card, files))

    def get(self, character: str) -> Character:
        """The newest version."""
        return self._send(story_calls.character(character))

    def page(
        self, name: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Character]:
        """By name; with `name`, whoever is called exactly so."""
        return self._send(story_calls.characters(name, limit, cursor))

    def by_words(self, words: str, count: int = 10) -> list[FoundCharacter]:
        """Such as "the red-haired one with the blue coat", the best first."""
        return self._send(story_calls.find_characters({"words": words, "count": count}))

    def by_picture(
        self, sha256: str, box: Box | None = None, count: int = 10
    ) -> list[FoundCharacter]:
        """Who looks most like an asset, or a part of it."""
        asked = {"picture": sha256, "box": box and box.model_dump(), "count": count}
        return self._send(story_calls.find_characters(asked))

    def near(self, character: str) -> list[FoundCharacter]:
        """Others that look almost the same."""
        return self._send(story_calls.near_characters(character))

    def change(
        self,
        character: str,
        *,
        name: str | None = None,
        words: Mapping[str, str] | None = None,
        pictures: Sequence[Mapping[str, Any]] | None = None,
    ) -> SavedCharacter:
        """The next version: what is given replaces what was, facet by facet."""
        changes = {"name": name, "words": words, "pictures": pictures}
        return self._send(story_calls.change_character(character, changes))

    def delete(self, character: str) -> None:
        """Remove it, and what builds say of it; Conflict while one draws it."""
        self._send(story_calls.delete_character(character))

    def versions(self, character: str) -> list[CharacterVersion]:
        """The newest first."""
        return self._send(story_calls.character_versions(character))

    def version(self, character: str, number: int) -> Character:
        """As it was."""
        return self._send(story_calls.character_version(character, number))

    def restore(self, character: str, number: int) -> SavedCharacter:
        """The next version, the same as an older one."""
        return self._send(story_calls.restore_character(character, number))

    def pack(self, character: str) -> bytes:
        """The character as one file."""
        return self._send(story_calls.export_character(character))

    def unpack(self, package: bytes, name: str | None = None) -> SavedCharacter:
        """A new character from such a file, under its own name or another."""
        return self._send(story_calls.import_character(package, name))


class Storyboards:
    """Stories in frames."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def create(self, document: Mapping[str, Any] | str) -> Storyboard:
        """Keep a storyboard: a mapping, or YAML."""
        return self._send(story_calls.create_storyboard(document))

    def replace(self, storyboard: str, document: Mapping[str, Any] | str) -> Storyboard:
        """Write it anew."""
        return self._send(story_calls.replace_storyboard(storyboard, document))

    def get(self, storyboard: str) -> Storyboard:
        """As it was written last."""
        return self._send(story_calls.storyboard(storyboard))

    def page(self, limit: int = 50, cursor: str | None = None) -> Page[StoryboardCard]:
        """The newest first."""
        return self._send(story_calls.storyboards(limit, cursor))

    def delete(self, storyboard: str) -> None:
        """What its builds drew stays."""
        self._send(story_calls.delete_storyboard(storyboard))

    def frames(self, storyboard: str) -> Frames:
        """Which frames are stale, and the pictures of the others."""
        return self._send(story_calls.frames(storyboard))

    def build(
        self, storyboard: str, *, project: str | None = None, idempotency_key: str | None = None
    ) -> Build:
        """Draw what is stale; its job ends with sheet, animatic and manifest."""
        return self._send(story_calls.build(storyboard, project, idempotency_key))


class Versions:
    """Trees in which going back adds."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def keep(
        self,
        subject: str,
        job: str,
        index: int = 0,
        *,
        label: str | None = None,
        parent: str | None = None,
    ) -> Version:
        """Choose a picture of a job; the rest of the job is canceled."""
        choice = {"subject": subject, "job": job, "index": index, "label": label}
        return self._send(story_calls.keep_version(choice | {"parent": parent}))

    def get(self, version: str) -> Version:
        """One version."""
        return self._send(story_calls.version(version))

    def page(self, subject: str, limit: int = 50, cursor: str | None = None) -> Page[Version]:
        """The newest first."""
        return self._send(story_calls.versions(subject, limit, cursor))

    def restore(self, version: str) -> Version:
        """Go back by adding the same once more."""
        return self._send(story_calls.restore_version(version))

    def discard(self, job: str) -> Job:
        """Want nothing of a job."""
        return self._send(story_calls.discard(job))


class Words:
    """Prompts and styles."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def parse(self, prompt: str, **more: Any) -> Parsed:
        """Read a prompt; `more`: negative_prompt, syntax, seed, template."""
        return self._send(story_calls.parse(prompt, more))

    def expand(self, prompt: str, **more: Any) -> Expanded:
        """Propose what to add; `more` also: expanders, refuse, styles, taught_only, write."""
        return self._send(story_calls.expand(prompt, more))

    def styles(self) -> Styles:
        """What can be asked for."""
        return self._send(story_calls.styles())

    def style_preview(self, style: str) -> bytes:
        """A picture in the style, where its maker gave one."""
        return self._send(story_calls.style_preview(style))

    def blend(self, styles: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """What becomes of several styles together; `more`: strategy, turn."""
        return self._send(story_calls.blend(styles, more))
