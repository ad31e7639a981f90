"""`python -m serving <command>`: what the service can be told.

triton-setup | triton-repository | up | worker | sender | triton | demo | storyboard | openapi
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from luciole.domain import LucioleError

console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a deliberate failure is one line and exit status 1."""
    asked = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    command: Callable[[argparse.Namespace], None] = asked.command
    try:
        command(asked)
    except LucioleError as error:
        console.print(f"[red]serving failed:[/] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    commands = top.add_subparsers(required=True)
    setup = commands.add_parser("triton-setup", help="make the environment that Triton runs in")
    setup.set_defaults(command=_triton_setup)
    up = commands.add_parser("up", help="Triton and the gateway, until Ctrl-C")
    up.set_defaults(command=_up)
    worker = commands.add_parser("worker", help="draws accepted jobs, until SIGTERM")
    worker.set_defaults(command=_worker)
    sender = commands.add_parser("sender", help="sends bills and webhooks, until SIGTERM")
    sender.set_defaults(command=_sender)
    alone = commands.add_parser("triton", help="Triton alone, for gateways and workers beside it")
    alone.set_defaults(command=_triton)
    models = commands.add_parser("triton-repository", help="the models that a Triton server loads")
    models.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
    models.add_argument("--native", action="store_true", help="use the server's own backends too")
    models.set_defaults(command=_triton_repository)
    demo = commands.add_parser("demo", help="a style, a character and a story through the service")
    demo.add_argument("--keep", action="store_true", help="keep serving afterwards")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="where the page goes")
    lesson = demo.add_mutually_exclusive_group()
    lesson.add_argument("--quick", action="store_true", help="hardly train the style")
    lesson.add_argument("--no-style", action="store_true", help="leave the style out")
    demo.set_defaults(command=_demo)
    document = commands.add_parser("openapi", help="writes what the gateway understands")
    document.add_argument("--out", type=Path, help="a file; serving/gateway/openapi.json")
    document.set_defaults(command=_openapi)
    board = commands.add_parser("storyboard", help="pictures, sheet and animatic of a YAML file")
    board.add_argument("file", type=Path, help="the storyboard")
    board.add_argument("--out", type=Path, help="a folder; out/storyboards/<name> without it")
    board.add_argument("--list", action="store_true", help="say what is stale and draw nothing")
    board.add_argument("--alone", action="store_true", help="the same words without any links")
    board.add_argument("--seed", type=int, help="in place of the file's")
    board.set_defaults(command=_storyboard)
    return top


def _end(number: int, _: object) -> None:
    """Leave by an exception, so that every block stops what it started."""
    raise SystemExit(128 + number)


def _triton_setup(_: argparse.Namespace) -> None:
    """A machine that cannot have Triton is told so, and that is no failure."""
    from serving.bootstrap import ROOT
    from serving.triton.environment import prepare
    from serving.triton.errors import TritonUnavailable

    try:
        made = prepare(ROOT)
    except TritonUnavailable as error:
        console.print(f"[yellow]no Triton[/] ({error.reason}): {error.message}", highlight=False)
        console.print("The in-process engine takes over; everything else works the same.")
        if not error.reason.permanent:
            raise
    else:
        console.print(f"Triton is set up in {made.folder.name}", highlight=False)


def _triton_repository(asked: argparse.Namespace) -> None:
    from luciole.bundle import Bundle
    from serving.settings import Settings
    from serving.triton.host import lay_out

    settings = Settings()
    bank = settings.triton_bank or asked.out / "bank"
    lay_out(settings, Bundle.open(settings.bundle), bank, asked.out / "models", asked.native)
    console.print(f"tritonserver --model-repository={asked.out / 'models'}", highlight=False)


def _up(_: argparse.Namespace) -> None:
    from serving.run import up
    from serving.settings import Settings

    up(Settings(), console)


def _worker(_: argparse.Namespace) -> None:
    from serving.jobs.command import worker
    from serving.settings import Settings

    worker(Settings())


def _sender(_: argparse.Namespace) -> None:
    from serving.jobs.command import sender
    from serving.settings import Settings

    sender(Settings())


def _triton(_: argparse.Namespace) -> None:
    from serving.settings import Settings
    from serving.triton.host import host

    host(Settings())


def _demo(asked: argparse.Namespace) -> None:
    from serving.demo.command import Asked, demo
    from serving.demo.style import QUICK, Lesson
    from serving.settings import Settings

    lesson = None if asked.no_style else QUICK if asked.quick else Lesson()
    demo(Settings(), Asked(asked.out, lesson, asked.keep), console)


def _openapi(asked: argparse.Namespace) -> None:
    from serving.gateway.document import FILE, text

    file: Path = asked.out or FILE
    file.write_text(text())
    console.print(f"written: {file}", highlight=False, soft_wrap=True)


def _storyboard(asked: argparse.Namespace) -> None:
    from serving.orchestration.scenes.command import Asked, storyboard
    from serving.settings import Settings

    board = Asked(asked.file, asked.out, asked.list, asked.alone, asked.seed)
    storyboard(Settings(), board, console)


if __name__ == "__main__":
    sys.exit(main())
