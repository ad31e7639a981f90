"""The processes of a service under attack: each is started again whenever it ends."""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self

import httpx

Blow = Literal["kill", "freeze", "kill inside"]
FROZEN = (0.5, 10.0)
"""Seconds; the longest are longer than a worker's lease in a storm."""


class Process(Protocol):
    """What is asked of one; `subprocess.Popen` does it."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        ...

    def wait(self, timeout: float) -> int:
        """Its exit status; TimeoutExpired."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """Nothing where it has ended."""
        ...


@dataclass(frozen=True)
class Part:
    """A process, and what may happen to it."""

    name: str
    start: Callable[[], Process]
    blows: tuple[Blow, ...] = ("kill",)
    inside: str = "tritonserver"
    """The program below it that `kill inside` looks for."""


@dataclass
class _Running:
    part: Part
    process: Process | None = None
    frozen_until: float | None = None


@dataclass
class Fleet:
    """Keeps all parts running, except for the blows that it deals them."""

    parts: Sequence[Part]
    blows: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._running = [_Running(part) for part in self.parts]
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for one in self._running:
            if one.process is not None:
                one.process.send_signal(signal.SIGCONT)
                one.process.send_signal(signal.SIGTERM)
        for one in self._running:
            if one.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    one.process.wait(20)
                one.process.send_signal(signal.SIGKILL)
                one.process.wait(20)

    def wait(self, address: str, seconds: float = 180.0) -> None:
        """Until the service answers; TimeoutError after `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{address}/healthz", timeout=5).is_success:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"{address} does not answer")

    def strike(self, chance: random.Random) -> None:
        """Deal one blow to a part that is alive and awake."""
        with self._lock:
            awake = [
                one
                for one in self._running
                if one.process is not None and one.process.poll() is None and not one.frozen_until
            ]
            if not awake:
                return
            one = chance.choice(awake)
            blow = chance.choice(one.part.blows)
            if one.process is not None:
                self._deal(one, one.process, blow, chance)

    def calm(self) -> None:
        """Thaw what is frozen."""
        with self._lock:
            for one in self._running:
                one.frozen_until = one.frozen_until and 0.0

    def _deal(self, one: _Running, process: Process, blow: Blow, chance: random.Random) -> None:
        name = f"{blow} {one.part.name.partition(' ')[0]}"
        if blow == "freeze":
            one.frozen_until = time.monotonic() + chance.uniform(*FROZEN)
            process.send_signal(signal.SIGSTOP)
        elif blow == "kill":
            process.send_signal(signal.SIGKILL)
        else:
            inside = _below(process.pid, one.part.inside)
            if not inside:
                return
            os.kill(inside[0], signal.SIGKILL)
            name = f"kill {one.part.inside}"
        self.blows[name] += 1

    def _keep(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                for one in self._running:
                    self._look(one)
            self._stopping.wait(0.1)

    def _look(self, one: _Running) -> None:
        if one.frozen_until is not None and time.monotonic() > one.frozen_until:
            one.frozen_until = None
            if one.process is not None:
                one.process.send_signal(signal.SIGCONT)
        if one.process is None or one.process.poll() is not None:
            one.process = one.part.start()


def program(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
    """Start a program with its output at the end of a file."""
    with log.open("ab") as said:
        return subprocess.Popen(  # noqa: S603 - the parts are our own
            command, env=os.environ | environment, stdout=said, stderr=said
        )


def _below(pid: int, program: str) -> list[int]:
    """Processes of that name among the descendants of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                words = Path(f"/proc/{child}/comm").read_text().strip()
                found += [child] if words == program else _below(child, program)
    return found
