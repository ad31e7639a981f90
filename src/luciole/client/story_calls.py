"""The calls about characters, storyboards, versions, prompts and styles, as data."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import TypeAdapter

from luciole.client.calls import Call, given, part, plain, record
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

CHARACTERS, STORYBOARDS = "/api/v1/characters", "/api/v1/storyboards"
VERSIONS, YAML = "/api/v1/versions", {"content-type": "application/yaml"}
_FOUND, _VERSIONS = TypeAdapter(list[FoundCharacter]), TypeAdapter(list[CharacterVersion])


def create_character(card: Mapping[str, Any], files: Sequence[bytes]) -> Call[SavedCharacter]:
    """From assets that the card names, or from files."""
    if not files:
        return Call("POST", CHARACTERS, record(SavedCharacter), json=plain(card), repeatable=False)
    return Call(
        "POST",
        f"{CHARACTERS}/upload",
        record(SavedCharacter),
        data={"character": json.dumps(plain(card))},
        files=[("pictures", (f"{n}.png", file)) for n, file in enumerate(files)],
        repeatable=False,
    )


def character(name: str) -> Call[Character]:
    """The newest version."""
    return Call("GET", f"{CHARACTERS}/{part(name)}", record(Character))


def characters(name: str | None, limit: int, cursor: str | None) -> Call[Page[Character]]:
    """By name."""
    query = given({"name": name, "limit": limit, "cursor": cursor})
    return Call("GET", CHARACTERS, record(Page[Character]), query=query)


def find_characters(asked: Mapping[str, Any]) -> Call[list[FoundCharacter]]:
    """By words or by an asset."""
    path = f"{CHARACTERS}/search"
    return Call("POST", path, lambda a: _FOUND.validate_json(a.content), json=given(asked))


def near_characters(name: str) -> Call[list[FoundCharacter]]:
    """Who looks almost the same."""
    path = f"{CHARACTERS}/{part(name)}/near"
    return Call("GET", path, lambda a: _FOUND.validate_json(a.content))


def change_character(name: str, changes: Mapping[str, Any]) -> Call[SavedCharacter]:
    """The next version; sent once."""
    path, body = f"{CHARACTERS}/{part(name)}", plain(given(changes))
    return Call("PATCH", path, record(SavedCharacter), json=body, repeatable=False)


def delete_character(name: str) -> Call[None]:
    """Every trace of it."""
    return Call("DELETE", f"{CHARACTERS}/{part(name)}", lambda _: None)


def character_versions(name: str) -> Call[list[CharacterVersion]]:
    """The newest first."""
    path = f"{CHARACTERS}/{part(name)}/versions"
    return Call("GET", path, lambda a: _VERSIONS.validate_json(a.content))


def character_version(name: str, number: int) -> Call[Character]:
    """As it was."""
    return Call("GET", f"{CHARACTERS}/{part(name)}/versions/{number}", record(Character))


def restore_character(name: str, number: int) -> Call[SavedCharacter]:
    """The next version, the same as an older one; sent once."""
    path = f"{CHARACTERS}/{part(name)}/versions/{number}/restore"
    return Call("POST", path, record(SavedCharacter), repeatable=False)


def export_character(name: str) -> Call[bytes]:
    """One file."""
    return Call("GET", f"{CHARACTERS}/{part(name)}/package", _content)


def import_character(package: bytes, name: str | None) -> Call[SavedCharacter]:
    """From such a file; sent once."""
    path, query = f"{CHARACTERS}/import", given({"name": name})
    read = record(SavedCharacter)
    return Call("POST", path, read, content=package, query=query, repeatable=False)


def create_storyboard(document: Mapping[str, Any] | str) -> Call[Storyboard]:
    """A mapping, or YAML; sent once."""
    read = record(Storyboard)
    if isinstance(document, str):
        content = document.encode()
        return Call("POST", STORYBOARDS, read, content=content, headers=YAML, repeatable=False)
    return Call("POST", STORYBOARDS, read, json=plain(document), repeatable=False)


def replace_storyboard(name: str, document: Mapping[str, Any] | str) -> Call[Storyboard]:
    """A mapping, or YAML."""
    path, read = f"{STORYBOARDS}/{part(name)}", record(Storyboard)
    if isinstance(document, str):
        return Call("PUT", path, read, content=document.encode(), headers=YAML)
    return Call("PUT", path, read, json=plain(document))


def storyboard(name: str) -> Call[Storyboard]:
    """As it was written last."""
    return Call("GET", f"{STORYBOARDS}/{part(name)}", record(Storyboard))


def storyboards(limit: int, cursor: str | None) -> Call[Page[StoryboardCard]]:
    """The newest first."""
    query = given({"limit": limit, "cursor": cursor})
    return Call("GET", STORYBOARDS, record(Page[StoryboardCard]), query=query)


def delete_storyboard(name: str) -> Call[None]:
    """What its builds drew stays."""
    return Call("DELETE", f"{STORYBOARDS}/{part(name)}", lambda _: None)


def frames(name: str) -> Call[Frames]:
    """Which are stale."""
    return Call("GET", f"{STORYBOARDS}/{part(name)}/frames", record(Frames))


def build(name: str, project: str | None, idempotency_key: str | None) -> Call[Build]:
    """Without a key of the caller's, one of chance makes it safe to send again."""
    headers = {"idempotency-key": idempotency_key or uuid.uuid4().hex}
    path, body = f"{STORYBOARDS}/{part(name)}/builds", given({"project": project})
    return Call("POST", path, record(Build), json=body, headers=headers)


def keep_version(choice: Mapping[str, Any]) -> Call[Version]:
    """A job's picture; sent once."""
    return Call("POST", VERSIONS, record(Version), json=given(choice), repeatable=False)


def version(name: str) -> Call[Version]:
    """One node."""
    return Call("GET", f"{VERSIONS}/{part(name)}", record(Version))


def versions(subject: str, limit: int, cursor: str | None) -> Call[Page[Version]]:
    """The tree, the newest first."""
    query = given({"subject": subject, "limit": limit, "cursor": cursor})
    return Call("GET", VERSIONS, record(Page[Version]), query=query)


def restore_version(name: str) -> Call[Version]:
    """Go back by adding; sent once."""
    return Call("POST", f"{VERSIONS}/{part(name)}/restore", record(Version), repeatable=False)


def discard(job: str) -> Call[Job]:
    """Want nothing of a job."""
    return Call("POST", f"/api/v1/jobs/{part(job)}/discard", record(Job))


def parse(prompt: str, more: Mapping[str, Any]) -> Call[Parsed]:
    """Read a prompt."""
    body = {"prompt": prompt} | given(more)
    return Call("POST", "/v1/prompts/parse", record(Parsed), json=plain(body))


def expand(prompt: str, more: Mapping[str, Any]) -> Call[Expanded]:
    """Propose what to add."""
    body = {"prompt": prompt} | given(more)
    return Call("POST", "/v1/prompts/expand", record(Expanded), json=plain(body))


def styles() -> Call[Styles]:
    """What can be asked for."""
    return Call("GET", "/v1/styles", record(Styles))


def style_preview(name: str) -> Call[bytes]:
    """A picture in the style."""
    return Call("GET", f"/v1/styles/{part(name)}/preview", _content)


def blend(parts: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> Call[dict[str, Any]]:
    """What becomes of several styles together."""
    body = {"styles": parts} | given(more)
    return Call("POST", "/v1/styles/blend", lambda answer: dict(answer.json()), json=plain(body))


def _content(answer: httpx.Response) -> bytes:
    return answer.content
