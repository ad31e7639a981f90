"""Storyboards and their frames as callers see them."""

from typing import Self

from fastapi import Request
from pydantic import AwareDatetime, BaseModel

from serving.gateway.generations.shown import url_of
from serving.gateway.parts import Parts
from serving.gateway.storyboards.boards import Board
from serving.gateway.storyboards.compiled import Compiled
from serving.gateway.storyboards.form import StoryboardForm
from serving.jobs.work import units
from serving.orchestration.scenes.build import Drawn
from serving.orchestration.scenes.compile import CompiledFrame


class StoryboardCard(BaseModel):
    """A storyboard in a list."""

    id: str
    title: str
    frames: int
    created_at: AwareDatetime
    changed_at: AwareDatetime

    @classmethod
    def of(cls, board: Board) -> Self:
        """As its row says."""
        return cls(
            id=board.id,
            title=board.name,
            frames=len(board.document.frames),
            created_at=board.created_at,
            changed_at=board.changed_at,
        )


class StoryboardShown(StoryboardCard):
    """A storyboard as it was written."""

    document: StoryboardForm

    @classmethod
    def of(cls, board: Board) -> Self:
        """With everything."""
        return cls(**dict(StoryboardCard.of(board)), document=board.document)


class StoryboardPage(BaseModel):
    """Some storyboards, and where the next ones are."""

    items: list[StoryboardCard]
    next_cursor: str | None


class FrameShown(BaseModel):
    """A frame and its picture, if it was drawn since anything changed that it depends on."""

    name: str
    stale: bool
    looks_at: list[str]
    """Names of the frames whose pictures it takes something from."""
    left_out: list[str]
    """What this model cannot follow, in words."""
    sha256: str | None = None
    url: str | None = None
    attempts: int | None = None
    likeness: dict[str, float] | None = None
    """Of each character to its references, -1 to 1."""
    drifted: list[str] | None = None


class FramesShown(BaseModel):
    """All frames in the order of the story; `cost` of a build in steps x megapixels."""

    stale: int
    cost: float
    frames: list[FrameShown]


class AcceptedBuild(BaseModel):
    """A job that draws the frames `drawing`, in this order, and then makes the album."""

    job_id: str
    status_url: str
    cancel_url: str
    drawing: list[str]


def frames_shown(found: Compiled, parts: Parts, request: Request) -> FramesShown:
    """Which are stale, and the pictures of the others."""
    names = {frame.key: frame.shot.name for frame in found.frames}
    compiled = {frame.shot.name: frame for frame in found.frames}
    shown = [
        _frame(compiled[one.name], names, found.drawn.get(compiled[one.name].key), parts, request)
        for one in found.board.frames
    ]
    cost = sum(units(frame.plan) for frame in found.stale)
    return FramesShown(stale=len(found.stale), cost=cost, frames=shown)


def _frame(
    frame: CompiledFrame,
    names: dict[str, str],
    drawn: Drawn | None,
    parts: Parts,
    request: Request,
) -> FrameShown:
    known = {
        "name": frame.shot.name,
        "stale": drawn is None,
        "looks_at": [names[key] for key in frame.looks_at],
        "left_out": list(frame.left_out),
    }
    if drawn is not None:
        url = url_of(drawn.picture, "image/png", parts, request)
        known |= {"sha256": drawn.picture, "url": url, "attempts": drawn.attempts}
        known |= {"likeness": drawn.likeness, "drifted": list(drawn.drifted)}
    return FrameShown.model_validate(known)
