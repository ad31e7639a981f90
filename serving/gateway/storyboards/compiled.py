"""From a storyboard as it was written to frames: which are drawn, which are stale."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from luciole.domain import InvalidRequest, RenderPlan
from luciole.domain.storyboard import CastMember, Storyboard
from luciole.guided import refuse_guides
from serving.gateway.assets.uploads import Inspected
from serving.gateway.auth.principal import Principal
from serving.gateway.parts import Parts
from serving.gateway.storyboards.boards import KIND, Board
from serving.gateway.storyboards.form import CharacterUse, StoryboardForm
from serving.jobs.storyboards import storyboard
from serving.jobs.work import NewJob, chain
from serving.orchestration.characters.applying import cast
from serving.orchestration.characters.errors import CharacterNotFound
from serving.orchestration.scenes.build import Drawn
from serving.orchestration.scenes.compile import (
    CompiledFrame,
    compile_storyboard,
    with_pictures,
)

Planned = tuple[Storyboard, tuple[CompiledFrame, ...], dict[str, bytes]]


@dataclass(frozen=True)
class Compiled:
    """A storyboard with its cast, its frames in the order of drawing, and those that are there."""

    board: Storyboard
    frames: tuple[CompiledFrame, ...]
    masks: Mapping[str, bytes]
    drawn: Mapping[str, Drawn]

    @property
    def stale(self) -> list[CompiledFrame]:
        """What a build would draw, in that order."""
        return [frame for frame in self.frames if frame.key not in self.drawn]


async def compiled(parts: Parts, tenant: str, board: Board) -> Compiled:
    """InvalidRequest names the frame or character and the field that cannot be followed."""
    story, frames, masks = await planned(parts, tenant, board.document)
    keys = [frame.key for frame in frames]
    return Compiled(story, frames, masks, await parts.boards.drawn(tenant, board.id, keys))


async def planned(parts: Parts, tenant: str, document: StoryboardForm) -> Planned:
    """The story with its characters as they are now, its frames, and the masks they name."""
    members = {
        name: await _member(parts, tenant, name, use) for name, use in document.characters.items()
    }
    said = document.model_dump(by_alias=True, exclude={"characters"})
    story = Storyboard.model_validate(said | {"characters": members})
    return await asyncio.to_thread(_planned, parts, story)


async def _member(parts: Parts, tenant: str, name: str, use: CharacterUse) -> CastMember:
    given = [sha for pictures in use.pictures.values() for sha in pictures]
    try:
        await parts.shelf.check(tenant, given)
    except InvalidRequest as error:
        raise InvalidRequest(f"characters.{name}.pictures", error.message) from None
    known = CastMember(words={})
    if use.id is not None:
        known = await _remembered(parts, tenant, f"characters.{name}.id", use.id)
    pictures = {**known.pictures, **use.pictures}
    words = {**known.words, **use.words}
    return CastMember(
        words=words,
        pictures=pictures,
        lora=use.lora,
        lora_alone=use.lora_alone,
        weight=use.weight,
    )


async def _remembered(parts: Parts, tenant: str, field: str, character: str) -> CastMember:
    if parts.characters is None:
        raise InvalidRequest(field, "this model was exported without an image encoder")
    try:
        return cast(await asyncio.to_thread(parts.characters.get, tenant, character))
    except CharacterNotFound:
        raise InvalidRequest(field, "there is no such character") from None


def _planned(parts: Parts, story: Storyboard) -> Planned:
    manifest = parts.drawing.pipeline.manifest
    renderer = hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()

    def allows(plan: RenderPlan) -> None:
        refuse_guides(plan, manifest)

    masks: dict[str, bytes] = {}
    return story, compile_storyboard(story, allows, renderer, masks), masks


async def new_build(
    parts: Parts, caller: Principal, board: Board, found: Compiled, project: str | None
) -> NewJob:
    """The job that draws what is stale; InvalidRequest names a frame that cannot be drawn.

    The masks that it looks at are kept.
    """
    await asyncio.to_thread(_check, parts, found.stale)
    canvas = found.board.canvas
    for content in found.masks.values():
        mask = Inspected(content, "image/png", "png", canvas.width, canvas.height)
        await parts.shelf.keep(caller.tenant, mask, KIND, board.id)
    there = {key: one.picture for key, one in found.drawn.items()}
    stale = []
    for frame in found.stale:
        known = {key: there.get(key, key) for key in frame.looks_at}
        stale.append((frame.key, with_pictures(frame.plan, known)))
    new = chain(caller.tenant, stale, user=caller.user, project=project, subject=board.id)
    return storyboard(new, found.board, found.frames)


def _check(parts: Parts, frames: Sequence[CompiledFrame]) -> None:
    for frame in frames:
        try:
            parts.drawing.pipeline.check(frame.plan)
        except InvalidRequest as error:
            field = f"frames.{frame.shot.name}.{error.field}"
            raise InvalidRequest(field, error.message) from None
