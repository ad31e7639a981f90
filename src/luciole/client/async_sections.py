"""The parts of the client for event loops, each about one kind of thing."""

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


class AsyncSend(Protocol):
    """Sends a call and reads its answer."""

    async def __call__(self, call: Call[T]) -> T:
        """Errors are those of `luciole.client.errors`."""
        ...


class AsyncCharacters:
    """Who can be drawn again."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def create(
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
        return await self._send(story_calls.create_character(card, files))

    async def get(self, character: str) -> Character:
        """The newest version."""
        return await self._send(story_calls.character(character))

    async def page(
        self, name: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Character]:
        """By name; with `name`, whoever is called exactly so."""
        return await self._send(story_calls.characters(name, limit, cursor))

    async def by_words(self, words: str, count: int = 10) -> list[FoundCharacter]:
        """Such as "the red-haired one with the blue coat", the best first."""
        return await self._send(story_calls.find_characters({"words": words, "count": count}))

    async def by_picture(
        self, sha256: str, box: Box | None = None, count: int = 10
    ) -> list[FoundCharacter]:
        """Who looks most like an asset, or a part of it."""
        asked = {"picture": sha256, "box": box and box.model_dump(), "count": count}
        return await self._send(story_calls.find_characters(asked))

    async def near(self, character: str) -> list[FoundCharacter]:
        """Others that look almost the same."""
        return await self._send(story_calls.near_characters(character))

    async def change(
        self,
        character: str,
        *,
        name: str | None = None,
        words: Mapping[str, str] | None = None,
        pictures: Sequence[Mapping[str, Any]] | None = None,
    ) -> SavedCharacter:
        """The next version: what is given replaces what was, facet by facet."""
        changes = {"name": name, "words": words, "pictures": pictures}
        return await self._send(story_calls.change_character(character, changes))

    async def delete(self, character: str) -> None:
        """Remove it, and what builds say of it; Conflict while one draws it."""
        await self._send(story_calls.delete_character(character))

    async def versions(self, character: str) -> list[CharacterVersion]:
        """The newest first."""
        return await self._send(story_calls.character_versions(character))

    async def version(self, character: str, number: int) -> Character:
        """As it was."""
        return await self._send(story_calls.character_version(character, number))

    async def restore(self, character: str, number: int) -> SavedCharacter:
        """The next version, the same as an older one."""
        return await self._send(story_calls.restore_character(character, number))

    async def pack(self, character: str) -> bytes:
        """The character as one file."""
        return await self._send(story_calls.export_character(character))

    async def unpack(self, package: bytes, name: str | None = None) -> SavedCharacter:
        """A new character from such a file, under its own name or another."""
        return await self._send(story_calls.import_character(package, name))


class AsyncStoryboards:
    """Stories in frames."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def create(self, document: Mapping[str, Any] | str) -> Storyboard:
        """Keep a storyboard: a mapping, or YAML."""
        return await self._send(story_calls.create_storyboard(document))

    async def replace(self, storyboard: str, document: Mapping[str, Any] | str) -> Storyboard:
        """Write it anew."""
        return await self._send(story_calls.replace_storyboard(storyboard, document))

    async def get(self, storyboard: str) -> Storyboard:
        """As it was written last."""
        return await self._send(story_calls.storyboard(storyboard))

    async def page(self, limit: int = 50, cursor: str | None = None) -> Page[StoryboardCard]:
        """The newest first."""
        return await self._send(story_calls.storyboards(limit, cursor))

    async def delete(self, storyboard: str) -> None:
        """What its builds drew stays."""
        await self._send(story_calls.delete_storyboard(storyboard))

    async def frames(self, storyboard: str) -> Frames:
        """Which frames are stale, and the pictures of the others."""
        return await self._send(story_calls.frames(storyboard))

    async def build(
        self, storyboard: str, *, project: str | None = None, idempotency_key: str | None = None
    ) -> Build:
        """Draw what is stale; its job ends with sheet, animatic and manifest."""
        return await self._send(story_calls.build(storyboard, project, idempotency_key))


class AsyncVersions:
    """Trees in which going back adds."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def keep(
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
        return await self._send(story_calls.keep_version(choice | {"parent": parent}))

    async def get(self, version: str) -> Version:
        """One version."""
        return await self._send(story_calls.version(version))

    async def page(self, subject: str, limit: int = 50, cursor: str | None = None) -> Page[Version]:
        """The newest first."""
        return await self._send(story_calls.versions(subject, limit, cursor))

    async def restore(self, version: str) -> Version:
        """Go back by adding the same once more."""
        return await self._send(story_calls.restore_version(version))

    async def discard(self, job: str) -> Job:
        """Want nothing of a job."""
        return await self._send(story_calls.discard(job))


class AsyncWords:
    """Prompts and styles."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def parse(self, prompt: str, **more: Any) -> Parsed:
        """Read a prompt; `more`: negative_prompt, syntax, seed, template."""
        return await self._send(story_calls.parse(prompt, more))

    async def expand(self, prompt: str, **more: Any) -> Expanded:
        """Propose what to add; `more` also: expanders, refuse, styles, taught_only, write."""
        return await self._send(story_calls.expand(prompt, more))

    async def styles(self) -> Styles:
        """What can be asked for."""
        return await self._send(story_calls.styles())

    async def style_preview(self, style: str) -> bytes:
        """A picture in the style, where its maker gave one."""
        return await self._send(story_calls.style_preview(style))

    async def blend(self, styles: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """What becomes of several styles together; `more`: strategy, turn."""
        return await self._send(story_calls.blend(styles, more))
