"""Make, change, find, carry and forget."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response, UploadFile
from starlette.requests import HTTPConnection

from luciole.domain import InvalidRequest
from luciole.domain.character import Character, CharacterName
from serving.gateway.admission import check_words
from serving.gateway.auth.needs import Reader, Writer
from serving.gateway.characters.form import (
    ChangeForm,
    CharacterForm,
    SearchForm,
    card_of,
    content_of,
    files_of,
    pictures_of,
)
from serving.gateway.characters.shown import (
    CharacterPage,
    CharacterShown,
    FoundCharacter,
    SavedCharacter,
    VersionShown,
    found,
    saved,
    shown,
)
from serving.gateway.cursors import Limit, cursor_of, named_by
from serving.gateway.events.announcing import announce
from serving.gateway.parts import Its, Parts, parts_of
from serving.gateway.refusals import Conflict
from serving.jobs.forgetting import Trace
from serving.orchestration.characters.memory import CharacterMemory, Remembered


async def memory_of(connection: HTTPConnection) -> CharacterMemory:
    """The app's; Conflict where the model has no image encoder."""
    memory = (await parts_of(connection)).characters
    if memory is None:
        words = "this model was exported without an image encoder, so it knows no characters"
        raise Conflict("model", words)
    return memory


Memory = Annotated[CharacterMemory, Depends(memory_of)]
Id = Annotated[str, Path(max_length=100)]
Name = Annotated[CharacterName | None, Query()]
FILE = {"schema": {"type": "string", "format": "binary"}}
PACKAGE = {"content": {"application/octet-stream": FILE}, "required": True}
ZIP = {"content": {"application/zip": FILE}}
router = APIRouter(prefix="/api/v1/characters", tags=["characters"])


@router.post("", status_code=201)
async def create(
    form: CharacterForm, request: Request, caller: Writer, parts: Its, memory: Memory
) -> SavedCharacter:
    """Remember somebody by pictures that are assets already."""
    return await _created(form, [], request, caller.tenant, parts, memory)


@router.post("/upload", status_code=201)
async def create_from_files(
    character: Annotated[str, Form(max_length=65_536, description="JSON, as without files")],
    pictures: list[UploadFile],
    request: Request,
    caller: Writer,
    parts: Its,
    memory: Memory,
) -> SavedCharacter:
    """The same with the pictures as files; those that no entry speaks of show the identity."""
    files = await files_of(pictures, parts)
    return await _created(card_of(character), files, request, caller.tenant, parts, memory)


async def _created(
    form: CharacterForm,
    files: Sequence[bytes],
    request: Request,
    tenant: str,
    parts: Parts,
    memory: CharacterMemory,
) -> SavedCharacter:
    await check_words(parts, form.name, *form.words.values())
    pictures = await pictures_of(parts, tenant, form.pictures, files)
    consent = form.consent.given()
    made = await asyncio.to_thread(memory.create, tenant, form.name, form.words, pictures, consent)
    return await _told(made, tenant, parts, request)


@router.get("")
async def list_characters(
    request: Request,
    caller: Reader,
    parts: Its,
    memory: Memory,
    name: Name = None,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> CharacterPage:
    """By name; with `name`, whoever is called exactly so."""
    if name is not None:
        known = [await asyncio.to_thread(memory.named, caller.tenant, name)]
        items = await shown(known, caller.tenant, parts, request)
        return CharacterPage(items=items, next_cursor=None)

    async def seen(character: str) -> Character:
        return await asyncio.to_thread(memory.get, caller.tenant, character)

    last = "" if cursor is None else (await named_by(cursor, seen)).name
    page = await asyncio.to_thread(memory.listed, caller.tenant, last, limit)
    following = cursor_of(page[-1].id) if len(page) == limit else None
    items = await shown(page, caller.tenant, parts, request)
    return CharacterPage(items=items, next_cursor=following)


@router.post("/search")
async def search(
    form: SearchForm, request: Request, caller: Reader, parts: Its, memory: Memory
) -> list[FoundCharacter]:
    """Find somebody by words or by an asset that shows them, the best first."""
    if (form.words is None) == (form.picture is None):
        raise InvalidRequest("words", "say words or a picture, one of the two")
    if form.picture is None:
        matches = await asyncio.to_thread(
            memory.by_words, caller.tenant, form.words or "", form.count
        )
    else:
        content = await content_of(parts, caller.tenant, form.picture)
        matches = await asyncio.to_thread(
            memory.by_picture, caller.tenant, content, form.box, form.count
        )
    return await found(matches, caller.tenant, parts, request)


@router.post("/import", status_code=201, openapi_extra={"requestBody": PACKAGE})
async def import_character(
    request: Request, caller: Writer, parts: Its, memory: Memory, name: Name = None
) -> SavedCharacter:
    """Remember the character of a package, under its own name or another."""
    content = await request.body()
    made = await asyncio.to_thread(memory.unpack, caller.tenant, content, name)
    return await _told(made, caller.tenant, parts, request)


@router.get("/{character}")
async def show(
    character: Id, request: Request, caller: Reader, parts: Its, memory: Memory
) -> CharacterShown:
    """Show the newest version."""
    known = await asyncio.to_thread(memory.get, caller.tenant, character)
    return (await shown([known], caller.tenant, parts, request))[0]


@router.patch("/{character}")
async def change(
    character: Id, form: ChangeForm, request: Request, caller: Writer, parts: Its, memory: Memory
) -> SavedCharacter:
    """Make the next version: what is given replaces what was, facet by facet."""
    if form == ChangeForm():
        raise InvalidRequest("body", "says nothing that is to change")
    words = form.words or {}
    await check_words(parts, form.name or "", *words.values())
    pictures = None
    if form.pictures is not None:
        pictures = await pictures_of(parts, caller.tenant, form.pictures)

    made = await asyncio.to_thread(
        memory.change, caller.tenant, character, name=form.name, words=words, pictures=pictures
    )
    return await _told(made, caller.tenant, parts, request)


@router.delete("/{character}", status_code=204)
async def forget(character: Id, caller: Writer, parts: Its, memory: Memory) -> None:
    """Remove all versions, the index entry, files that nothing else needs, and the plans of frames.

    Builds say no more of it, and must have ended: 409. Pictures that were drawn stay, with the
    words that drew them inside; storyboards keep what their writers wrote, and its id.
    """
    every, own = await asyncio.to_thread(memory.pictures, caller.tenant, character)
    trace = Trace(character, every, own)
    await parts.shelf.drop(await parts.jobs.forget(caller.tenant, trace))
    await asyncio.to_thread(memory.delete, caller.tenant, character)
    await announce(parts.jobs, caller.tenant, "character", character)


@router.get("/{character}/near")
async def near(
    character: Id, request: Request, caller: Reader, parts: Its, memory: Memory
) -> list[FoundCharacter]:
    """Show others that look almost the same, the nearest first."""
    known = await asyncio.to_thread(memory.get, caller.tenant, character)
    matches = await asyncio.to_thread(memory.near_duplicates, caller.tenant, known)
    return await found(matches, caller.tenant, parts, request)


@router.get("/{character}/package", response_class=Response, responses={200: ZIP})
async def export(character: Id, caller: Reader, memory: Memory) -> Response:
    """Give the character as one file, which another service can import."""
    content = await asyncio.to_thread(memory.pack, caller.tenant, character)
    named = {"content-disposition": 'attachment; filename="character.zip"'}
    return Response(content, media_type="application/zip", headers=named)


@router.get("/{character}/versions")
async def versions(character: Id, caller: Reader, memory: Memory) -> list[VersionShown]:
    """Every version, the newest first."""
    return [
        VersionShown(
            version=one.version, name=one.name, words=one.words, references=len(one.references)
        )
        for one in await asyncio.to_thread(memory.versions, caller.tenant, character)
    ]


@router.get("/{character}/versions/{number}")
async def show_version(
    character: Id,
    number: Annotated[int, Path(ge=1, lt=2**31)],
    request: Request,
    caller: Reader,
    parts: Its,
    memory: Memory,
) -> CharacterShown:
    """Show the character as it was."""
    known = await asyncio.to_thread(memory.version, caller.tenant, character, number)
    return (await shown([known], caller.tenant, parts, request))[0]


@router.post("/{character}/versions/{number}/restore")
async def restore(
    character: Id,
    number: Annotated[int, Path(ge=1, lt=2**31)],
    request: Request,
    caller: Writer,
    parts: Its,
    memory: Memory,
) -> SavedCharacter:
    """Make the next version, the same as an older one: going back adds."""
    made = await asyncio.to_thread(memory.restore, caller.tenant, character, number)
    return await _told(made, caller.tenant, parts, request)


async def _told(made: Remembered, tenant: str, parts: Parts, request: Request) -> SavedCharacter:
    await announce(parts.jobs, tenant, "character", made.character.id)
    return await saved(made, tenant, parts, request)
