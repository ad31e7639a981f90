"""What is made of a drawn storyboard: its frames by name, sheet, animatic and manifest."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from luciole.bundle import MANIFEST
from luciole.domain.shots import Shot, links_of
from luciole.domain.storyboard import Storyboard
from serving.orchestration.pictures import Picture
from serving.orchestration.scenes.build import Drawn
from serving.orchestration.scenes.compile import CompiledFrame
from serving.orchestration.scenes.regions import columns
from serving.orchestration.scenes.sheet import Panel, animatic, contact_sheet
from serving.orchestration.scenes.words import places_of, story_of

FORMAT_VERSION = 1
SHEET, ANIMATIC = "contact-sheet.png", "animatic.gif"


class Files(Protocol):
    """Where the pictures of the frames are."""

    def open(self, name: str) -> Picture:
        """The pixels of a file."""
        ...

    def bytes_of(self, name: str) -> bytes:
        """The file as it is."""
        ...


def album(
    board: Storyboard,
    frames: Sequence[CompiledFrame],
    made: Mapping[str, Drawn],
    files: Files,
) -> dict[str, bytes]:
    """Every file by its name, the frames in the order of the story; the same for the same."""
    compiled = {frame.shot.name: frame for frame in frames}
    panels, entries, written = [], [], {}
    for number, frame in enumerate(board.frames, start=1):
        drawn, links = made[frame.name], links_of(board, frame)
        picture = files.open(drawn.picture)
        words = story_of(compiled[frame.name].shot)
        panels.append(Panel(frame, picture, words, links, drawn.drifted))
        name = f"frames/{number:02d}-{frame.name}.png"
        written[name] = files.bytes_of(drawn.picture)
        entry = _entry(name, board, compiled[frame.name], drawn)
        entries.append(entry | {"columns": _columns(compiled[frame.name].shot, picture)})
    sheet = io.BytesIO()
    contact_sheet(board.title, panels).save(sheet, "PNG")
    written[SHEET] = sheet.getvalue()
    written[ANIMATIC] = animatic(panels)
    manifest = {"format_version": FORMAT_VERSION, "title": board.title, "frames": entries}
    written[MANIFEST] = json.dumps(manifest, indent=1).encode()
    return written


def _entry(file: str, board: Storyboard, frame: CompiledFrame, drawn: Drawn) -> dict[str, Any]:
    """What the manifest says of a frame: enough to draw it again and to measure it."""
    shot = frame.shot
    return {
        "name": shot.name,
        "file": file,
        "picture": drawn.picture,
        "key": drawn.key,
        "looks_at": list(frame.looks_at),
        "shot": shot.model_dump(mode="json"),
        "characters": {name: board.characters[name].model_dump(mode="json") for name in shot.roles},
        "plan": drawn.plan,
        "attempts": drawn.attempts,
        "likeness": drawn.likeness,
        "drifted": list(drawn.drifted),
        "left_out": list(frame.left_out),
    }


def _columns(shot: Shot, picture: Picture) -> dict[str, tuple[int, int]]:
    """From which pixel column to which everybody is expected."""
    return columns(places_of(shot), picture.shape[1]) if shot.roles else {}
