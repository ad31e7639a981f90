"""Storyboards as jobs: stale frames are drawn one after another, then the album is made."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from sqlalchemy import Connection, Engine, Row, select

from luciole.domain import InvalidRequest, RenderPlan
from luciole.domain.shots import shots
from luciole.domain.storyboard import Storyboard
from serving.jobs.artist import Easel
from serving.jobs.engine_artist import StoredPictures
from serving.jobs.work import (
    CHAIN,
    RENDER,
    STORYBOARD,
    Chain,
    Kind,
    MadeFile,
    NewJob,
    Params,
    Render,
    Sketch,
)
from serving.orchestration.characters.drift import draw_alike, settled
from serving.orchestration.characters.encoder import Encoder
from serving.orchestration.scenes.album import ANIMATIC, SHEET, album
from serving.orchestration.scenes.build import Drawn
from serving.orchestration.scenes.compile import CompiledFrame
from serving.orchestration.scenes.likeness import likeness_of
from serving.storage.database import READING
from serving.storage.objects import Objects
from serving.storage.tables import FrameRow, StoryboardRow
from serving.storage.writing import insert_if_new, storage_errors

SECONDS = 120.0
"""For a frame, before its job expires."""
KINDS = {"png": "image/png", "gif": "image/gif", "json": "application/json"}


def kinds(database: Engine, objects: Objects, encoder: Encoder | None) -> dict[str, Kind]:
    """Everything that workers can be asked for."""
    board = StoryboardJob(database, objects, encoder)
    return {RENDER: Render(), CHAIN: Chain(), STORYBOARD: board}


def storyboard(new: NewJob, board: Storyboard, frames: Sequence[CompiledFrame]) -> NewJob:
    """A chain of stale frames as a build of the storyboard that is its subject.

    `frames` are all of them, in the order of drawing.
    """
    facts = [
        {"name": one.shot.name, "key": one.key, "looks_at": one.looks_at, "left_out": one.left_out}
        for one in frames
    ]
    said = {"storyboard": new.subject, "board": board.model_dump(mode="json", by_alias=True)}
    seconds = new.seconds + SECONDS * new.total * board.retries.attempts
    return replace(
        new, kind=STORYBOARD, seconds=seconds, params=new.params | said | {"frames": facts}
    )


class StoryboardJob(Chain):
    """A chain whose frames are scored against the characters, and bound to an album."""

    def __init__(self, database: Engine, objects: Objects, encoder: Encoder | None) -> None:
        self._database, self._encoder = database, encoder
        self._pictures = StoredPictures(database, objects)

    def draw(self, params: Params, k: int, plan: RenderPlan, easel: Easel) -> Sketch:
        """Draw again while somebody drifts, as often as the storyboard allows."""
        board = Storyboard.model_validate(params["board"])
        key = params["keys"][k]
        name = next(one["name"] for one in params["frames"] if one["key"] == key)
        shot = next(one for one in shots(board) if one.name == name)
        alike = easel.bear_with(lambda: likeness_of(self._encoder, board, self._pictures))
        best = draw_alike(
            plan,
            easel.draw,
            lambda seen: easel.bear_with(lambda: alike(shot, seen)),
            settled(board.retries, self._encoder),
        )
        notes = {
            "name": name,
            "plan": best.plan.model_dump(mode="json"),
            "attempts": best.attempts,
            "likeness": best.scores,
            "drifted": best.drifted,
        }
        return Sketch(best.plan, best.picture, notes)

    def note(
        self, connection: Connection, job: Row[Any], k: int, sha256: str, said: Params
    ) -> None:
        """The frame is fresh from now on, unless its storyboard was deleted meanwhile."""
        storyboard, key = job.params["storyboard"], job.params["keys"][k]
        there = select(StoryboardRow.id).where(StoryboardRow.id == storyboard).with_for_update()
        if connection.scalar(there) is None:
            return
        record = {name: value for name, value in said.items() if name != "name"}
        insert_if_new(
            connection, FrameRow, storyboard=storyboard, key=key, tenant=job.tenant,
            name=said["name"], asset_sha=sha256, record=record,
        )  # fmt: skip

    def files(self, params: Params) -> Sequence[MadeFile]:
        """Frames, sheet, animatic and manifest; InvalidRequest if the storyboard is gone."""
        board = Storyboard.model_validate(params["board"])
        resolved = {shot.name: shot for shot in shots(board)}
        drawn = self._drawn(params)
        made, compiled = {}, []
        for one in params["frames"]:
            record = drawn.get(one["key"])
            if record is None:
                raise InvalidRequest("storyboard", "was deleted before it was done")
            plan = RenderPlan.model_validate(record.plan)
            looks, left = tuple(one["looks_at"]), tuple(one["left_out"])
            compiled.append(CompiledFrame(resolved[one["name"]], plan, one["key"], looks, left))
            made[one["name"]] = record
        files = album(board, compiled, made, self._pictures)
        return [_file(name, content) for name, content in files.items()]

    def _drawn(self, params: Params) -> Mapping[str, Drawn]:
        keys = [one["key"] for one in params["frames"]]
        asked = select(FrameRow.key, FrameRow.asset_sha, FrameRow.record).where(
            FrameRow.storyboard == params["storyboard"], FrameRow.key.in_(keys)
        )
        with storage_errors(), self._database.connect() as connection:
            rows = connection.execution_options(**READING).execute(asked).all()
        return {row.key: drawn_of(row.key, row.asset_sha, row.record) for row in rows}


def drawn_of(key: str, picture: str, record: Mapping[str, Any]) -> Drawn:
    """A row of `frames` as the scenes know it."""
    return Drawn(
        key=key,
        picture=picture,
        plan=record["plan"],
        attempts=record["attempts"],
        likeness=record["likeness"],
        drifted=tuple(record["drifted"]),
    )


def _file(name: str, content: bytes) -> MadeFile:
    extension = name.rpartition(".")[2]
    width = height = None
    if extension != "json":
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
    composed = name in (SHEET, ANIMATIC)  # frames were signed when they were drawn
    return MadeFile(name, content, KINDS[extension], extension, width, height, composed)
