"""What ended builds say of a character, taken out when the character is deleted.

The pictures stay, with the words that drew them inside; nothing tells any more how to draw them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Text, cast, delete, false, or_, select, update

from luciole.bundle import MANIFEST
from luciole.domain.shots import shots
from luciole.domain.storyboard import CastMember, Storyboard
from serving.jobs.errors import CharacterInUse
from serving.jobs.work import STORYBOARD, Params
from serving.storage.assets import File, release
from serving.storage.tables import (
    AssetRefRow,
    FrameRow,
    JobEventRow,
    JobFileRow,
    JobFrameRow,
    JobRow,
    StoryboardRow,
    VersionRow,
)

_FACTS = ("width", "height", "steps", "guidance_scale", "guidance_eta", "seed", "solver")
"""What a plan without words and guides still holds."""


@dataclass(frozen=True)
class Trace:
    """By what a character is known in builds: its id, its pictures, those that are its alone."""

    id: str
    pictures: frozenset[str]
    own: frozenset[str]


@dataclass(frozen=True)
class _Part:
    """A build in which the character plays, under these names."""

    job: Row[Any]
    names: frozenset[str]


def forget(connection: Connection, tenant: str, trace: Trace) -> list[File]:
    """Take words, pictures and scores out; the files that nobody needs now. CharacterInUse."""
    for part in _parts(connection, tenant, trace, ended=False):
        words = f"is being drawn by {part.job.id}; cancel that job, or wait for its end"
        raise CharacterInUse("character", words)
    files: list[File] = []
    for part in list(_parts(connection, tenant, trace, ended=True)):
        files += _forget(connection, tenant, part)
    _forget_events(connection, tenant, trace.own)
    return files


def _forget_events(connection: Connection, tenant: str, own: Collection[str]) -> None:
    """Those that tell of its pictures as assets."""
    told = [cast(JobEventRow.data, Text).contains(sha256) for sha256 in own]
    of_assets = (JobEventRow.tenant == tenant, JobEventRow.job.is_(None), or_(false(), *told))
    connection.execute(delete(JobEventRow).where(*of_assets))


def _parts(connection: Connection, tenant: str, trace: Trace, ended: bool) -> Iterator[_Part]:
    called = _names(connection, tenant, trace.id)
    said = cast(JobRow.params, Text)
    asked = select(JobRow.id, JobRow.subject, JobRow.params).where(
        JobRow.tenant == tenant,
        JobRow.kind == STORYBOARD,
        JobRow.ended_at.is_not(None) if ended else JobRow.ended_at.is_(None),
        or_(JobRow.subject.in_(called), *(said.contains(sha256) for sha256 in trace.own)),
    )
    for row in connection.execute(asked).all():
        members = Storyboard.model_validate(row.params["board"]).characters
        names = _played(members, called.get(row.subject, set()), trace)
        if names:
            yield _Part(row, names)


def _names(connection: Connection, tenant: str, character: str) -> dict[str, set[str]]:
    """What storyboards call a character, now and in older versions, by the storyboards' ids."""
    now = select(StoryboardRow.id, StoryboardRow.document).where(
        StoryboardRow.tenant == tenant, cast(StoryboardRow.document, Text).contains(character)
    )
    before = select(VersionRow.subject, VersionRow.request).where(
        VersionRow.tenant == tenant, cast(VersionRow.request, Text).contains(character)
    )
    called: dict[str, set[str]] = {}
    for asked in (now, before):
        for board, document in connection.execute(asked):
            uses = document.get("characters", {})
            names = {name for name, use in uses.items() if use.get("id") == character}
            called.setdefault(board, set()).update(names)
    return called


def _played(
    members: Mapping[str, CastMember], called: Collection[str], trace: Trace
) -> frozenset[str]:
    """Which of the cast are the character; a name may have been another's in an older build."""
    names = set()
    for name, member in members.items():
        pictures = {sha256 for shown in member.pictures.values() for sha256 in shown}
        known = name in called and (not pictures or pictures & trace.pictures)
        if known or pictures & trace.own:
            names.add(name)
    return frozenset(names)


def _forget(connection: Connection, tenant: str, part: _Part) -> list[File]:
    job, params = part.job, part.job.params
    shown = _shown(params, part.names)
    hidden = [k for k, key in enumerate(params["keys"]) if key in shown]
    mine = update(JobRow).where(JobRow.id == job.id)
    connection.execute(mine.values(params=_without(params, part.names, hidden)))
    frames = select(JobFrameRow).where(JobFrameRow.job == job.id, JobFrameRow.k.in_(hidden))
    for frame in connection.execute(frames).all():
        bare = _bare(frame.plan)
        one = (JobFrameRow.job == job.id, JobFrameRow.k == frame.k)
        connection.execute(update(JobFrameRow).where(*one).values(plan=bare))
        kept = (VersionRow.job == job.id, cast(VersionRow.assets, Text).contains(frame.asset_sha))
        connection.execute(update(VersionRow).where(*kept).values(request=bare))
    known = (FrameRow.storyboard == job.subject, FrameRow.key.in_(shown))
    connection.execute(delete(FrameRow).where(*known))
    return _without_manifest(connection, tenant, job.id)


def _shown(params: Params, names: frozenset[str]) -> set[str]:
    """The keys of the frames that show any of these."""
    roles = {shot.name: shot.roles for shot in shots(Storyboard.model_validate(params["board"]))}
    return {one["key"] for one in params["frames"] if names & roles[one["name"]].keys()}


def _without(params: Params, names: frozenset[str], hidden: Collection[int]) -> Params:
    board = params["board"]
    nobody = CastMember(words={}).model_dump(mode="json")
    cast_of = {name: nobody if name in names else one for name, one in board["characters"].items()}
    plans = [_bare(one) if k in hidden else one for k, one in enumerate(params["plans"])]
    return params | {"board": board | {"characters": cast_of}, "plans": plans}


def _bare(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {"prompt": ""} | {name: plan[name] for name in _FACTS if name in plan}


def _without_manifest(connection: Connection, tenant: str, job: str) -> list[File]:
    """It says of every frame how it was drawn, and lies among the files as a whole."""
    one = (JobFileRow.job == job, JobFileRow.name == MANIFEST)
    sha256 = connection.scalar(select(JobFileRow.asset_sha).where(*one))
    if sha256 is None:
        return []
    connection.execute(delete(JobFileRow).where(*one))
    held = (AssetRefRow.sha256 == sha256, AssetRefRow.tenant == tenant, AssetRefRow.owner == job)
    connection.execute(delete(AssetRefRow).where(*held))
    return release(connection, [sha256])
