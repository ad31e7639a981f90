"""`python -m serving storyboard <file>`: pictures, contact sheet, animatic and manifest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from luciole.bundle import MANIFEST, Bundle
from luciole.domain import RenderPlan
from luciole.domain.storyboard import Retries, Storyboard
from luciole.engines.styles import StyleShelf
from luciole.guided import refuse_guides
from luciole.pipeline import Pipeline
from luciole.shipped import shipped_model
from serving.engines import in_process
from serving.exported import ensure
from serving.orchestration.characters.drift import settled
from serving.orchestration.characters.encoder import looks_encoder
from serving.orchestration.pictures import PictureShelf
from serving.orchestration.scenes.album import album
from serving.orchestration.scenes.build import Drawn, FrameCache, build, stale
from serving.orchestration.scenes.compile import CompiledFrame, compile_storyboard
from serving.orchestration.scenes.learned import Learned, LearnedShelf
from serving.orchestration.scenes.likeness import likeness_of
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
    """Every frame from its words and seed alone, drawn once, to compare with."""
    seed: int | None = None
    """In place of the storyboard's own."""

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        name = f"{self.file.stem}-alone" if self.alone else self.file.stem
        return self.out or Path("out/storyboards") / name


def storyboard(settings: Settings, asked: Asked, console: Console) -> Path:
    """Draw what is stale into a folder; the path of its manifest."""
    shelf, learned = PictureShelf(), Learned()
    board = read_storyboard(asked.file, shelf, learned)
    if asked.seed is not None:
        board = board.model_copy(update={"seed": asked.seed})
    if asked.alone:
        board = board.model_copy(update={"retries": Retries(least=board.retries.least)})
    if default_bundle(settings):
        ensure(settings.bundle, shipped_model(), settings.runtime)
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
    styles = LearnedShelf(bundle, learned)
    made = draw(settings, bundle, board, frames, shelf, styles, console=console, cache=cache)
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
    styles: StyleShelf,
    *,
    cache: FrameCache,
    console: Console,
) -> dict[str, Drawn]:
    """Draw under a bar, over the engine in this process."""
    engine = in_process(bundle, settings)
    shown = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        encoder = looks_encoder(engine)
        likeness = likeness_of(encoder, board, shelf)
        retries = settled(board.retries, encoder)
        pipeline = Pipeline(engine, shelf, styles)
        with Progress(*shown, console=console) as bar:
            waiting = [frame.key for frame in stale(frames, cache)]
            task = bar.add_task("drawing", total=max(1, len(waiting)))

            def tell(frame: CompiledFrame, done: int, steps: int) -> None:
                number = waiting.index(frame.key)
                words = f"drawing {frame.shot.name} ({number + 1} of {len(waiting)})"
                bar.update(task, description=words, completed=number + done / steps)

            made, _ = build(frames, pipeline, shelf, cache, likeness, retries, tell)
            bar.update(task, description="drawn", completed=max(1, len(waiting)))
    finally:
        engine.close()
    for name, drawn in made.items():
        if drawn.drifted:
            who = ", ".join(drawn.drifted)
            console.print(f"[yellow]drifts[/] {name}: {who}", highlight=False)
    return made


def write(
    folder: Path,
    board: Storyboard,
    frames: Sequence[CompiledFrame],
    made: dict[str, Drawn],
    shelf: PictureShelf,
) -> Path:
    """Every file of the album; pictures of frames that are gone are removed."""
    _replace(folder, album(board, frames, made, shelf))
    return folder / MANIFEST


def _replace(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for file in (folder / "frames").glob("*.png"):
        if f"frames/{file.name}" not in files:
            file.unlink()
    for name, content in files.items():
        part = (folder / name).with_suffix(".part")
        part.write_bytes(content)
        part.replace(folder / name)
