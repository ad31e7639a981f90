"""Tells a story: a style is learned, a character remembered, a storyboard drawn by the service."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import FastAPI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from luciole.domain import EngineError
from luciole.shipped import shipped_model
from serving.bootstrap import configure_logging, service
from serving.demo import cast
from serving.demo.asking import Asking, Character, Shown, Story
from serving.demo.page import StyleShown, Told, write
from serving.demo.prompts import BEFORE_AND_AFTER, PROMPTS
from serving.demo.style import MANNER, NAME, TRIGGER, Learned, Lesson, learn
from serving.exported import ensure
from serving.gateway.drawing import Drawing
from serving.jobs.supervisor import Supervisor, python
from serving.run import address_of, default_bundle, listening, server
from serving.settings import Settings

TAUGHT = range(4)
"""Seeds of the pictures in the style's manner that the page shows."""


@dataclass(frozen=True)
class Asked:
    """What the command line says; without a lesson no style is learned."""

    out: Path
    lesson: Lesson | None = field(default_factory=Lesson)
    keep: bool = False


class Demo:
    """One run; `seconds` by what was done."""

    def __init__(self, asked: Asked, console: Console) -> None:
        self.asked, self.console = asked, console
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what is done, and keep how long it took."""
        number = len(self.seconds) + 1
        self.console.print(f"[bold]{number}[/] {what}", highlight=False)
        began = time.perf_counter()
        yield
        self.seconds[what] = time.perf_counter() - began

    @contextlib.contextmanager
    def bar(self) -> Iterator[Progress]:
        """A bar below the step's line."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=self.console) as bar:
            yield bar

    def style(self) -> Learned | None:
        """Learn it, where a lesson was asked for."""
        if self.asked.lesson is None:
            return None
        out = self.asked.out
        with self.step(f"a style, learned in {self.asked.lesson.steps} steps"):
            return learn(self.asked.lesson, out / "training", out / "styles")

    def before_and_after(self, caller: Asking, learned: Learned) -> StyleShown:
        """The same words and seeds without the style and with it."""
        refused = caller.styles().get(NAME, "is not there")
        if refused:
            raise EngineError("style", f"does not fit this bundle: {refused}")
        with self.step("the style, before and after"), self.bar() as bar:
            task = bar.add_task("drawing", total=2 * len(BEFORE_AND_AFTER))
            pairs = []
            for prompt, seed in BEFORE_AND_AFTER:
                plain = caller.picture(prompt, seed)
                styled = caller.picture(f"{TRIGGER}, {prompt}", seed, NAME)
                pairs.append((plain, styled))
                bar.advance(task, 2)
        taught = cast.lessons(MANNER, TAUGHT)
        return StyleShown(TRIGGER, learned.lesson, learned.seconds, taught, pairs)

    def character(self, caller: Asking, drawing: Drawing) -> Character | None:
        """Have her remembered, where the model can look at pictures."""
        if drawing.pipeline.manifest.vision is None:
            self.console.print("  this bundle has no image encoder: the story has words alone")
            return None
        with self.step("a character, from two pictures"):
            return caller.character(cast.NAME, cast.WORDS, cast.pictures(), cast.ASKED)

    def story(self, caller: Asking, character: Character | None, style: str | None) -> Story:
        """Have the storyboard drawn."""
        document = cast.story(character.id if character else None, style, TRIGGER)
        with self.step("a story, drawn by the service's workers"), self.bar() as bar:
            task = bar.add_task("drawing", total=len(document["frames"]))
            return caller.story(document, lambda done, total: bar.update(task, completed=done))

    def pictures(self, caller: Asking, prompts: Sequence[tuple[str, int]]) -> list[Shown]:
        """Ask for one picture after another."""
        with self.step("pictures from words"), self.bar() as bar:
            task = bar.add_task("drawing", total=len(prompts))
            shown = []
            for prompt, seed in prompts:
                shown.append(caller.picture(prompt, seed))
                bar.advance(task)
        return shown


def demo(settings: Settings, asked: Asked, console: Console) -> Path:
    """Tell the story through HTTP and write it into `asked.out`; the path of the page.

    What was started is stopped at the end, or with `keep` at Ctrl-C.
    """
    configure_logging("WARNING")
    run = Demo(asked, console)
    asked.out.mkdir(parents=True, exist_ok=True)
    if default_bundle(settings):
        with run.step("the model as a bundle of ONNX graphs"):
            if not ensure(settings.bundle, shipped_model(), settings.runtime):
                console.print(f"  {settings.bundle} is up to date", highlight=False)
    learned = run.style()
    with contextlib.ExitStack() as held:
        with run.step("the engine and the service"):
            state = held.enter_context(TemporaryDirectory(prefix=".state.", dir=asked.out))
            own = {"state_folder": Path(state), "styles_folder": asked.out / "styles"}
            ours = settings.model_copy(update=own)
            drawing, address = held.enter_context(running(ours, console))
        console.print(f"  {drawing.engine} behind {address}", highlight=False)
        if drawing.notice:
            console.print(f"  [yellow]{drawing.notice}[/]", highlight=False)
        made = write(asked.out, told(run, drawing, address, learned))
        console.print(
            f"[bold green]done[/]: open {made.resolve()}", highlight=False, soft_wrap=True
        )
        if asked.keep:
            console.print(f"serving at {address} - Ctrl-C stops it", highlight=False)
            threading.Event().wait()
        console.print(f"the service was at {address}; `make up` keeps one", highlight=False)
    return made


def told(run: Demo, drawing: Drawing, address: str, learned: Learned | None) -> Told:
    """Ask the service for everything that the page shows."""
    with Asking(address) as caller:
        style = run.before_and_after(caller, learned) if learned else None
        character = run.character(caller, drawing)
        story = run.story(caller, character, NAME if learned else None)
        pictures = run.pictures(caller, PROMPTS)
    return Told(
        model=drawing.pipeline.manifest.name,
        licence=drawing.pipeline.manifest.licence,
        engine=drawing.engine,
        address=address,
        notice=drawing.notice,
        style=style,
        character=character,
        story=story,
        pictures=pictures,
        seconds=run.seconds,
    )


@contextlib.contextmanager
def running(settings: Settings, console: Console) -> Iterator[tuple[Drawing, str]]:
    """The gateway in a thread and a worker beside it, for the time of the block."""
    with contextlib.ExitStack() as held:
        door = held.enter_context(listening(settings, otherwise_any=True))
        with console.status("starting Triton and proving it with numbers"):
            app, drawing = held.enter_context(service(settings))
            address = held.enter_context(serving(app, address_of(door), door))
        places = ("state_folder", "styles_folder")
        told = {f"LUCIOLE_{name.upper()}": str(getattr(settings, name)) for name in places}
        told |= {"LUCIOLE_LOG_LEVEL": os.environ.get("LUCIOLE_LOG_LEVEL", "ERROR")}
        told |= drawing.told
        worker = python("worker", "-m", "serving", "worker", environment=told)
        held.enter_context(Supervisor([worker]))
        yield drawing, address


@contextlib.contextmanager
def serving(app: FastAPI, address: str, door: socket.socket) -> Iterator[str]:
    """Run the gateway in a thread for the time of the block; its address."""
    gateway = server(app)
    thread = threading.Thread(target=gateway.run, kwargs={"sockets": [door]}, name="gateway")
    thread.start()
    try:
        while not gateway.started:
            if not thread.is_alive():
                raise EngineError("gateway", "ended while it started")
            time.sleep(0.02)
        yield address
    finally:
        gateway.should_exit = True
        thread.join()
