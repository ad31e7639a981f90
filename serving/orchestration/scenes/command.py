"""`python -m serving storyboard <file>`: pictures, contact sheet, animatic and manifest."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from luciole.bundle import MANIFEST, Bundle
from luciole.domain import RenderPlan
from luciole.domain.shots import links_of
from luciole.domain.storyboard import Storyboard
from luciole.engines.onnx import OnnxEngine
from luciole.guided import refuse_guides
from luciole.pipeline import Pipeline
from luciole.shipped import shipped_model
from serving.exported import ensure
from serving.orchestration.characters.drift import Retries
from serving.orchestration.pictures import PictureShelf
from serving.orchestration.scenes.build import Drawn, FrameCache, build, stale
from serving.orchestration.scenes.compile import CompiledFrame, compile_storyboard
from serving.orchestration.scenes.sheet import Panel, animatic, contact_sheet
from serving.orchestration.scenes.words import story_of
from serving.orchestration.scenes.written import read_storyboard
from serving.run import default_bundle
from serving.settings import Settings

FORMAT_VERSION = 1


def storyboard(
    settings: Settings, file: Path, out: Path | None, *, only_list: bool, console: Console
) -> Path:
    """Draw what is stale into a folder; the path of its manifest.

    With `only_list`, nothing is drawn: what is stale is printed.
    """
    shelf = PictureShelf()
    board = read_storyboard(file, shelf)
    folder = out or Path("out/storyboards") / file.stem
    if default_bundle(settings):
        ensure(settings.bundle, shipped_model())
    bundle = Bundle.open(settings.bundle)
    masks: dict[str, bytes] = {}

    def allows(plan: RenderPlan) -> None:
        refuse_guides(plan, bundle.manifest)

    frames = compile_storyboard(board, allows, renderer_of(bundle), masks)
    for content in masks.values():
        shelf.put(content)
    cache = FrameCache(folder / ".frames")
    waiting = stale(frames, cache)
    for note in dict.fromkeys(note for frame in frames for note in frame.left_out):
        console.print(f"[yellow]left out[/] {note}", highlight=False)
    console.print(f"{len(waiting)} of {len(frames)} frames are stale", highlight=False)
    if only_list:
        for frame in waiting:
            console.print(f"  {frame.shot.name}", highlight=False)
        return folder / MANIFEST
    made = draw(settings, bundle, frames, shelf, cache, console)
    written = write(folder, board, frames, made, shelf)
    console.print(f"[bold green]done[/]: {written.parent}", highlight=False, soft_wrap=True)
    return written


def renderer_of(bundle: Bundle) -> str:
    """A hash over every file that takes part in drawing."""
    return hashlib.sha256((bundle.path / MANIFEST).read_bytes()).hexdigest()


def draw(
    settings: Settings,
    bundle: Bundle,
    frames: Sequence[CompiledFrame],
    shelf: PictureShelf,
    cache: FrameCache,
    console: Console,
) -> dict[str, Drawn]:
    """Draw under a bar, over the engine in this process."""
    engine = OnnxEngine(bundle, threads=settings.threads)
    columns = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as bar:
            waiting = [frame.key for frame in stale(frames, cache)]
            task = bar.add_task("drawing", total=max(1, len(waiting)))

            def tell(frame: CompiledFrame, done: int, steps: int) -> None:
                number = waiting.index(frame.key)
                words = f"drawing {frame.shot.name} ({number + 1} of {len(waiting)})"
                bar.update(task, description=words, completed=number + done / steps)

            made, _ = build(frames, Pipeline(engine), shelf, cache, nobody, Retries(), tell)
            bar.update(task, description="drawn", completed=max(1, len(waiting)))
    finally:
        engine.close()
    return made


def nobody(frame: CompiledFrame, picture: object) -> dict[str, float]:
    """The likeness of frames whose characters have no pictures to be compared with."""
    return {}


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
        entries.append(_entry(name, board, compiled[frame.name], drawn))
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


def _replace(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for file in (folder / "frames").glob("*.png"):
        if f"frames/{file.name}" not in files:
            file.unlink()
    for name, content in files.items():
        part = (folder / name).with_suffix(".part")
        part.write_bytes(content)
        part.replace(folder / name)
