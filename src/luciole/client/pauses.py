"""When to send a call again, and how long to wait before."""

import random
from typing import Any

import httpx

from luciole.client.calls import AGAIN, Call, pause_of

LONGEST_PAUSE = 30.0
"""Who is told to wait longer is told so by an error instead."""


def may_repeat(call: Call[Any], answer: httpx.Response) -> bool:
    """Whether to send it again: the refusal passes soon, and nothing is done twice."""
    passes = answer.status_code in AGAIN and (pause_of(answer) or 0) <= LONGEST_PAUSE
    # 429 says that nothing was started.
    return passes and (call.repeatable or answer.status_code == httpx.codes.TOO_MANY_REQUESTS)


def pause(tries: int, asked: float | None) -> float:
    """Seconds: what was asked, else twice as long each time, never the same for all."""
    return asked if asked is not None else min(10.0, 0.2 * 2.0**tries) * random.uniform(0.5, 1.0)
