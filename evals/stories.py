"""Drawn storyboards, as `python -m serving storyboard` leaves them: a manifest and its frames."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from pydantic import ValidationError

from evals.errors import EvaluationError
from evals.sample import Image
from luciole.domain.shots import Shot
from luciole.storyworld import ATTRIBUTES

SURROUNDINGS = ("setting", "weather", "time")
FORMAT = 1


@dataclass(frozen=True)
class Frame:
    """One frame of a drawn story; `promised` are the surroundings that its shot speaks of."""

    story: str
    name: str
    characters: frozenset[str]
    promised: dict[str, str]
    picture: Image


def stories(folder: Path) -> list[list[Frame]]:
    """Every manifest under a folder; EvaluationError names a file that is none or lacks a frame."""
    files = sorted(folder.rglob("manifest.json"))
    if not files:
        words = "holds no storyboard; draw one with python -m serving storyboard <file>"
        raise EvaluationError(str(folder), words)
    return [_story(file, file.parent.relative_to(folder).as_posix()) for file in files]


def _story(file: Path, place: str) -> list[Frame]:
    """Told apart by its place: stories of the same title differ by their seeds."""
    try:
        told = json.loads(file.read_text())
        if told["format_version"] != FORMAT:
            raise EvaluationError(str(file), f"has format {told['format_version']}, not {FORMAT}")
        return [_frame(file.parent, f"{told['title']} ({place})", one) for one in told["frames"]]
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise EvaluationError(str(file), f"is no storyboard's manifest: {error}") from error


def _frame(folder: Path, story: str, told: dict[str, Any]) -> Frame:
    shot, picture = Shot.model_validate(told["shot"]), picture_of(folder / told["file"])
    return Frame(story, shot.name, frozenset(shot.roles), surroundings(shot), picture)


def picture_of(file: Path) -> Image:
    """The pixels of a file; EvaluationError names one that is missing or damaged."""
    try:
        with Pillow.open(file) as opened:
            picture: Image = np.asarray(opened.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise EvaluationError(str(file), f"is missing or damaged: {error}") from error
    return picture


def surroundings(shot: Shot) -> dict[str, str]:
    """The values of the world's vocabulary that the shot's own words name, one of a kind."""
    told = " ".join(part for part in (shot.background, shot.lighting, shot.words) if part)
    words = set(re.findall(r"[a-z]+", told.lower()))
    found = {kind: [v for v in ATTRIBUTES[kind] if v in words] for kind in SURROUNDINGS}
    return {kind: values[0] for kind, values in found.items() if len(values) == 1}


def pairs(frames: Sequence[Frame], same: bool) -> list[tuple[int, int]]:
    """Frames of one person each that show the same one, or different ones."""
    alone = [i for i, frame in enumerate(frames) if len(frame.characters) == 1]
    return [
        (i, j)
        for k, i in enumerate(alone)
        for j in alone[k + 1 :]
        if (frames[i].characters == frames[j].characters) == same
    ]


def portraits(frames: Sequence[Frame], known: Collection[str]) -> list[tuple[int, str]]:
    """Frames of one person, who is among the known, and who it is."""
    alone = [(i, frame) for i, frame in enumerate(frames) if len(frame.characters) == 1]
    return [(i, who) for i, frame in alone for who in frame.characters if who in known]


def transitions(frames: Sequence[Frame], changed: bool) -> list[tuple[int, str]]:
    """Frames and kinds that are promised as in the frame before, or otherwise."""
    found = []
    for i, (before, frame) in enumerate(pairwise(frames), start=1):
        for kind in SURROUNDINGS:
            told = before.promised.get(kind), frame.promised.get(kind)
            if None not in told and (told[0] != told[1]) == changed:
                found.append((i, kind))
    return found
