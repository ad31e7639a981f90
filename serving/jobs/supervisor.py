"""Keeps programs running: what ends is started again, what is frozen is ended first."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

import structlog

from serving.storage.columns import now
from serving.triton import launch

LOOK = 0.1
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
YOUNG = 5.0
"""Seconds; what ends younger than this is started again later each time."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Program:
    """Something to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside this process's own."""


@dataclass(eq=False)
class _Kept:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    started_at: datetime = field(default_factory=now)
    pause: float = FIRST_PAUSE
    due: float = 0.0
    restarts: int = -1

    def start(self) -> None:
        # The kernel ends it should this process be killed, which has no time to do so.
        become = [sys.executable, launch.__file__, str(os.getpid())]
        environment = os.environ | self.program.environment
        command = [*become, *self.program.command]
        self.started, self.started_at = time.monotonic(), now()
        self.process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own program
        self.restarts += 1

    def look(self) -> None:
        """Start it when it is due; note when it has ended."""
        if self.process is not None and (status := self.process.poll()) is not None:
            lived = time.monotonic() - self.started
            young = lived < YOUNG and self.restarts > 0
            self.pause = min(2 * self.pause, LONGEST_PAUSE) if young else FIRST_PAUSE
            self.due, self.process = time.monotonic() + self.pause, None
            log.warning("a program ended", program=self.program.name, status=status,
                        lived=round(lived, 1), again_in=self.pause)  # fmt: skip
        if self.process is None and time.monotonic() >= self.due:
            self.start()


class Supervisor:
    """One thread that looks after all programs; `frozen` names processes that must be ended.

    A process is named by its id and the earliest time at which it was certainly running, since
    the system gives ids again.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        frozen: Callable[[], Collection[tuple[int, datetime]]] = lambda: (),
    ) -> None:
        self._kept = [_Kept(program) for program in programs]
        self._frozen = frozen
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def processes(self) -> dict[str, int]:
        """The process ids of the programs that run now."""
        running = [(kept.program.name, kept.process) for kept in self._kept]
        return {name: process.pid for name, process in running if process is not None}

    @property
    def restarts(self) -> int:
        """How often any program had to be started again."""
        return sum(max(kept.restarts, 0) for kept in self._kept)

    def stop(self, grace: float = 15.0) -> None:
        """End all programs: SIGTERM, and SIGKILL after `grace` seconds."""
        self._stopping.set()
        self._thread.join()
        running = [kept.process for kept in self._kept if kept.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + grace
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _live(self) -> None:
        while not self._stopping.is_set():
            for kept in self._kept:
                kept.look()
            self._end_frozen()
            self._stopping.wait(LOOK)

    def _end_frozen(self) -> None:
        ours = {kept.process.pid: kept for kept in self._kept if kept.process is not None}
        for pid, seen_at in self._frozen():
            kept = ours.get(pid)
            if kept is not None and kept.process is not None and seen_at >= kept.started_at:
                log.warning("a program is frozen", program=kept.program.name)
                kept.process.kill()
                kept.process.wait()


def python(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Program:
    """A module or script of ours, run by this interpreter from the checkout."""
    root = str(Path(__file__).parents[2])
    return Program(name, [sys.executable, *arguments], {"PYTHONPATH": root, **(environment or {})})
