"""`python -m training.passes --minutes 9`: all of pocket, in passes that end in time.

Each pass goes on where the last one stopped: for machines that are lent for minutes.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from training.__main__ import FINISHED

PARTS = ("pocket_autoencoder", "pocket_clip", "pocket_judge", "pocket_base")
"""In the order in which one needs another."""
WRITING = 20.0
"""Seconds kept for writing weights at the end of a part."""


def command(part: str, seconds: float, out: Path, overrides: Sequence[str]) -> list[str]:
    """The training command of one part; an override `part:key=value` is for that part alone."""
    hours, minutes = divmod(int(seconds) // 60, 60)
    limit = f"trainer.max_time='00:{hours:02}:{minutes:02}:{int(seconds) % 60:02}'"
    mine = [word.partition(":")[2] for word in overrides if word.startswith(f"{part}:")]
    return [sys.executable, "-m", "training", f"experiment={part}", f"out={out}", limit, *mine]


def run_pass(
    seconds: float,
    out: Path,
    overrides: Sequence[str],
    call: Callable[[list[str]], object] = subprocess.check_call,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Trains what is not finished until the time is up; the parts that are still to do.

    Raises CalledProcessError where a part fails, ValueError for an override of no known part.
    """
    for word in overrides:
        if word.partition(":")[0] not in PARTS:
            raise ValueError(f"{word}: begin with one of {', '.join(PARTS)} and a colon")
    end = clock() + seconds
    for part in PARTS:
        left = end - clock() - WRITING
        if left < WRITING:
            break
        if not (out / "runs" / part / FINISHED).exists():
            call(command(part, left, out, overrides))
    return [part for part in PARTS if not (out / "runs" / part / FINISHED).exists()]


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.passes", description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("overrides", nargs="*", help="pocket_base:trainer.max_steps=40000 ...")
    args = parser.parse_args()
    todo = run_pass(args.minutes * 60, args.out, args.overrides)
    print(f"still to do: {', '.join(todo)}" if todo else "all parts are trained")  # noqa: T201


if __name__ == "__main__":
    main()
