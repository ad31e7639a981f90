"""Programs that are silent without being gone."""

import os
import signal
import time
from pathlib import Path


def freeze(pid: int) -> None:
    """Stop a program and wait until it stands: it runs on for a moment after it was told."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + 60
    while not stopped(pid):
        assert time.monotonic() < until, f"process {pid} goes on"
        time.sleep(0.01)


def stopped(pid: int) -> bool:
    """Whether every thread is, or none is left."""
    try:
        states = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return all(state.rpartition(")")[2].split()[0] == "T" for state in states)
