"""Draws what is stale and nothing else, as a build system does."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from luciole.domain import InvalidRequest, RenderPlan
from luciole.domain.storyboard import Retries
from serving.orchestration.characters.drift import draw_alike
from serving.orchestration.pictures import Picture, PictureShelf, name_of, png
from serving.orchestration.scenes.compile import CompiledFrame, with_pictures
from serving.orchestration.scenes.likeness import Likeness

Progress = Callable[[int, int], None]


class Draws(Protocol):
    """Makes a picture of each plan, as `luciole.pipeline.Pipeline` does."""

    def check(self, plan: RenderPlan) -> None:
        """InvalidRequest names what this model cannot do."""
        ...

    def render(
        self, plans: Sequence[RenderPlan], progress: Progress | None = None
    ) -> Sequence[Picture]:
        """Draw; raises EngineError."""
        ...


@dataclass(frozen=True)
class Drawn:
    """What is kept of a frame; `picture` names the PNG beside it."""

    key: str
    picture: str
    plan: dict[str, Any]
    attempts: int
    likeness: dict[str, float]
    drifted: tuple[str, ...]


class FrameCache:
    """A folder with one PNG and one record per key; what is damaged counts as missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> tuple[Drawn, bytes] | None:
        """The frame of a key and its PNG, if both are whole."""
        try:
            record = Drawn(**json.loads((self._folder / f"{key}.json").read_bytes()))
            content = (self._folder / f"{key}.png").read_bytes()
        except (OSError, ValueError, TypeError):
            return None
        return (record, content) if name_of(content) == record.picture else None

    def keep(self, drawn: Drawn, content: bytes) -> None:
        """Write both files whole, the record last."""
        self._folder.mkdir(parents=True, exist_ok=True)
        written = json.dumps(asdict(drawn), indent=1).encode()
        for ending, data in ((".png", content), (".json", written)):
            part = self._folder / f".{drawn.key}{ending}.part"
            part.write_bytes(data)
            part.replace(self._folder / f"{drawn.key}{ending}")

    def forget_others(self, keys: Sequence[str]) -> None:
        """Remove every frame that is not among the keys."""
        for file in self._folder.glob("*"):
            if file.stem.removeprefix(".").partition(".")[0] not in keys:
                file.unlink()


def stale(frames: Sequence[CompiledFrame], cache: FrameCache) -> list[CompiledFrame]:
    """The frames whose key has no picture yet, in the order in which they would be drawn."""
    return [frame for frame in frames if cache.find(frame.key) is None]


def build(
    frames: Sequence[CompiledFrame],
    draws: Draws,
    shelf: PictureShelf,
    cache: FrameCache,
    likeness: Likeness,
    retries: Retries,
    progress: Callable[[CompiledFrame, int, int], None] = lambda *_: None,
) -> tuple[dict[str, Drawn], list[str]]:
    """What is known of every frame by its name, and the names of those that were drawn now.

    Frames are drawn one by one: in mixed batches rounding would depend on what else is stale.
    `progress` is told a frame, its steps done and its steps in all.
    """
    for frame in frames:
        _check(frame, draws)
    pictures: dict[str, str] = {}
    made: dict[str, Drawn] = {}
    fresh = []
    for frame in frames:
        known = cache.find(frame.key)
        if known is None:
            known = _drawn(frame, draws, pictures, likeness, retries, progress)
            cache.keep(*known)
            fresh.append(frame.shot.name)
        made[frame.shot.name], content = known
        pictures[frame.key] = shelf.put(content)
    cache.forget_others([frame.key for frame in frames])
    return made, fresh


def _check(frame: CompiledFrame, draws: Draws) -> None:
    try:
        draws.check(frame.plan)
    except InvalidRequest as error:
        raise InvalidRequest(f"frames.{frame.shot.name}.{error.field}", error.message) from error


def _drawn(
    frame: CompiledFrame,
    draws: Draws,
    pictures: Mapping[str, str],
    likeness: Likeness,
    retries: Retries,
    progress: Callable[[CompiledFrame, int, int], None],
) -> tuple[Drawn, bytes]:
    def draw(plan: RenderPlan) -> Picture:
        return draws.render([plan], lambda done, total: progress(frame, done, total))[0]

    plan = with_pictures(frame.plan, pictures)
    best = draw_alike(plan, draw, lambda picture: likeness(frame.shot, picture), retries)
    content, said = png(best.picture), best.plan.model_dump(mode="json")
    record = Drawn(frame.key, name_of(content), said, best.attempts, best.scores, best.drifted)
    return record, content
