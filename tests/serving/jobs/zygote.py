"""Starts processes in milliseconds: one that has imported everything forks for each of them.

They are processes of their own, to be killed or frozen like any other.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[3]


class Zygote:
    """The process that forks, from the first time on that it is needed.

    It ends with the block, and those that it started do not.
    """

    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with self._process as process:
                assert process.stdin is not None
                process.stdin.close()

    def start(
        self, program: str, *words: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> "Forked":
        """A new process of `worker`, `api` or `sender`."""
        asked = {"program": program, "words": words, "log": str(log),
                 "environment": dict(environment or {})}  # fmt: skip
        return Forked(self, self._ask(asked))

    def status(self, pid: int) -> int | None:
        """The exit status of a process; None while it runs."""
        status = self._ask({"status": pid})
        return None if status == RUNNING else status

    def _ask(self, asked: dict[str, Any]) -> int:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps(asked) + "\n")
        pipe_in.flush()
        return int(pipe_out.readline())


class Forked:
    """A process, with Popen's words."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self._zygote, self.pid = zygote, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.status(self.pid)
        return self.returncode

    def wait(self, timeout: float = 60.0) -> int:
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


RUNNING = -1000
"""No exit status."""


def _serve() -> None:
    """Answer each line of stdin with one number."""
    from serving.jobs.command import sender
    from serving.settings import Settings
    from tests.serving.jobs import stub_api, stub_worker

    programs = {
        "worker": stub_worker.main,
        "api": stub_api.main,
        "sender": lambda: sender(Settings()),
    }
    for line in sys.stdin:
        asked = json.loads(line)
        if "status" in asked:
            found, status = os.waitpid(asked["status"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else RUNNING
        else:
            answer = os.fork()
            if answer == 0:
                _become(programs[asked["program"]], asked)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _become(program: Any, asked: dict[str, Any]) -> None:
    """Be the program, with its own output, and end with it."""
    os.environ.update(asked["environment"])
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, place in ((0, nothing), (1, log), (2, log)):
        os.dup2(place, number)
    status = 1
    try:
        program(*asked["words"])
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(status)


if __name__ == "__main__":
    _serve()
