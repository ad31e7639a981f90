"""A signal is heard wherever it finds the main thread."""

import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from serving.stopping import StopSignals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    known = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    yield
    for name, handler in known.items():
        signal.signal(name, handler)


class Interruption:
    """A trace that sends SIGTERM at the n-th line which is run under it."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _: Any) -> "Interruption":
        if event == "line":
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGTERM)
        return self


@pytest.mark.timeout(20)
def test_a_signal_at_any_line_of_waiting_ends_it() -> None:
    for line in range(1, 100):
        signals, interruption = StopSignals(), Interruption(line)
        before = sys.gettrace()
        sys.settrace(interruption)
        try:
            signals.wait(0.01)
        finally:
            sys.settrace(before)
        assert signals.came == (interruption.left <= 0)
        if not signals.came:
            break
    assert line > 3


def test_waiting_lasts_until_a_signal_or_the_given_time() -> None:
    signals = StopSignals()
    assert not signals.wait(0.01)
    signal.raise_signal(signal.SIGINT)
    began = time.monotonic()
    assert signals.wait()
    assert signals.wait(60)
    assert time.monotonic() - began < 10
