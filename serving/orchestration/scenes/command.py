"""`python -m serving storyboard <file>`: pictures, contact sheet, animatic and manifest."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from luciole.bundle import MANIFEST, Bundle
from luciole.domain import RenderPlan
from luciole.domain.character import Facet
from luciole.domain.shots import Shot, links_of
from luciole.domain.storyboard import Storyboard
from luciole.engines import Engine
from luciole.engines.onnx import OnnxEngine
from luciole.guided import refuse_guides
from luciole.pipeline import Pipeline
from luciole.shipped import shipped_model
from serving.exported import ensure
from serving.orchestration.characters.encoder import EngineEncoder
from serving.orchestration.pictures import Picture, PictureShelf
from serving.orchestration.scenes.build import Drawn, FrameCache, Likeness, build, stale
from serving.orchestration.scenes.compile import CompiledFrame, compile_storyboard
from serving.orchestration.scenes.likeness import FrameLikeness
from serving.orchestration.scenes.regions import columns
from serving.orchestration.scenes.sheet import Panel, animatic, contact_sheet
from serving.orchestration.scenes.words import places_of, story_of
from serving.orchestration.scenes.written import read_storyboard
from serving.run import default_bundle
from serving.settings import Settings

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    file: Path
    out: Path | None = None
    """None: `out/storyboards/<name of the file>`."""
    only_list: bool = False
    """Draw nothing, say what is stale."""
    alone: bool = False
    """Every frame from its words and seed alone, to compare with."""
    seed: int | None = None
    """In place of the storyboard's own."""

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        name = f"{self.file.stem}-alone" if self.alone else self.file.stem
        return self.out or Path("out/storyboards") / name


def storyboard(settings: Settings, asked: Asked, console: Console) -> Path:
    """Draw what is stale into a folder; the path of its manifest."""
    shelf = PictureShelf()
    board = read_storyboard(asked.file, shelf)
    if asked.seed is not None:
        board = board.model_copy(update={"seed": asked.seed})
    if default_bundle(settings):
        ensure(settings.bundle, shipped_model())
    bundle = Bundle.open(settings.bundle)
    frames = _compiled(board, bundle, shelf, alone=asked.alone)
    cache = FrameCache(asked.folder / ".frames")
    waiting = stale(frames, cache)
    for note in dict.fromkeys(note for frame in frames for note in frame.left_out):
        console.print(f"[yellow]left out[/] {note}", highlight=False)
    console.print(f"{len(waiting)} of {len(frames)} frames are stale", highlight=False)
    if asked.only_list:
        for frame in waiting:
            console.print(f"  {frame.shot.name}", highlight=False)
        return asked.folder / MANIFEST
    made = draw(settings, bundle, board, frames, shelf, console=console, cache=cache)
    written = write(asked.folder, board, frames, made, shelf)
    console.print(f"[bold green]done[/]: {written.parent}", highlight=False, soft_wrap=True)
    return written


def _compiled(
    board: Storyboard, bundle: Bundle, shelf: PictureShelf, *, alone: bool
) -> tuple[CompiledFrame, ...]:
    def allows(plan: RenderPlan) -> None:
        refuse_guides(plan, bundle.manifest)

    masks: dict[str, bytes] = {}
    frames = compile_storyboard(board, allows, renderer_of(bundle), masks, alone=alone)
    for content in masks.values():
        shelf.put(content)
    return frames


def renderer_of(bundle: Bundle) -> str:
    """A hash over every file that takes part in drawing."""
    return hashlib.sha256((bundle.path / MANIFEST).read_bytes()).hexdigest()


def draw(
    settings: Settings,
    bundle: Bundle,
    board: Storyboard,
    frames: Sequence[CompiledFrame],
    shelf: PictureShelf,
    *,
    cache: FrameCache,
    console: Console,
) -> dict[str, Drawn]:
    """Draw under a bar, over the engine in this process."""
    engine = OnnxEngine(bundle, threads=settings.threads)
    shown = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        likeness = likeness_of(engine, board, shelf)
        pipeline = Pipeline(engine, shelf)
        with Progress(*shown, console=console) as bar:
            waiting = [frame.key for frame in stale(frames, cache)]
            task = bar.add_task("drawing", total=max(1, len(waiting)))

            def tell(frame: CompiledFrame, done: int, steps: int) -> None:
                number = waiting.index(frame.key)
                words = f"drawing {frame.shot.name} ({number + 1} of {len(waiting)})"
                bar.update(task, description=words, completed=number + done / steps)

            made, _ = build(frames, pipeline, shelf, cache, likeness, board.retries, tell)
            bar.update(task, description="drawn", completed=max(1, len(waiting)))
    finally:
        engine.close()
    for name, drawn in made.items():
        if drawn.drifted:
            who = ", ".join(drawn.drifted)
            console.print(f"[yellow]drifts[/] {name}: {who}", highlight=False)
    return made


def likeness_of(engine: Engine, board: Storyboard, shelf: PictureShelf) -> Likeness:
    """Scores by the bundle's image encoder; none without such an encoder or without pictures."""
    if engine.bundle.manifest.vision is None or not any(
        member.pictures.get(Facet.IDENTITY) for member in board.characters.values()
    ):
        return lambda *_: {}
    return FrameLikeness(EngineEncoder(engine), board, shelf)


def write(
    folder: Path,
    board: Storyboard,
    frames: Sequence[CompiledFrame],
    made: dict[str, Drawn],
    shelf: PictureShelf,
) -> Path:
    """Every file, in the order of the story; pictures of frames that are gone are removed."""
    compiled = {frame.shot.name: frame for frame in frames}
    panels, entries, files = [], [], {}
    for number, frame in enumerate(board.frames, start=1):
        drawn, links = made[frame.name], links_of(board, frame)
        picture = shelf.open(drawn.picture)
        words = story_of(compiled[frame.name].shot)
        panels.append(Panel(frame, picture, words, links, drawn.drifted))
        name = f"frames/{number:02d}-{frame.name}.png"
        files[name] = shelf.bytes_of(drawn.picture)
        entry = _entry(name, board, compiled[frame.name], drawn)
        entries.append(entry | {"columns": _columns(compiled[frame.name].shot, picture)})
    sheet = io.BytesIO()
    contact_sheet(board.title, panels).save(sheet, "PNG")
    files["contact-sheet.png"] = sheet.getvalue()
    files["animatic.gif"] = animatic(panels)
    manifest = {"format_version": FORMAT_VERSION, "title": board.title, "frames": entries}
    files[MANIFEST] = json.dumps(manifest, indent=1).encode()
    _replace(folder, files)
    return folder / MANIFEST


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


def _replace(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for file in (folder / "frames").glob("*.png"):
        if f"frames/{file.name}" not in files:
            file.unlink()
    for name, content in files.items():
        part = (folder / name).with_suffix(".part")
        part.write_bytes(content)
        part.replace(folder / name)
