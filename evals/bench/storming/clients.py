"""Callers who do not give up: each job is asked for, with its key, until it is accepted."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

SIDE, STEPS = 64, 4
RETRY = 0.2
PATIENCE = 240.0
CANCELED, ASKED_AGAIN = 0.15, 0.15
"""Shares of the jobs that their callers cancel, or ask for a second time."""


@dataclass
class Accepted:
    """What callers were told."""

    jobs: dict[str, str] = field(default_factory=dict)
    """Ids by key."""
    again: int = 0
    differed: int = 0
    """Keys that brought another job the second time."""
    refused: list[str] = field(default_factory=list)
    """Answers that no caller should get."""
    given_up: int = 0


class Clients:
    """Ask for `jobs` jobs at random moments of `seconds` seconds."""

    def __init__(
        self, address: str, jobs: int, seconds: float, seed: int, callers: int = 4
    ) -> None:
        self._address, self._seconds = address, seconds
        self._accepted, self._lock = Accepted(), threading.Lock()
        shares = [range(first, jobs, callers) for first in range(callers)]
        self._threads = [
            threading.Thread(target=self._call, args=(share, random.Random(seed + n)), daemon=True)
            for n, share in enumerate(shares)
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def join(self) -> Accepted:
        """What was accepted, once everybody has been answered."""
        for thread in self._threads:
            thread.join()
        return self._accepted

    def _call(self, numbers: range, chance: random.Random) -> None:
        began = time.monotonic()
        moments = sorted(chance.uniform(0, self._seconds) for _ in numbers)
        with httpx.Client(base_url=self._address, timeout=20) as client:
            for number, moment in zip(numbers, moments, strict=True):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                self._one(client, number, chance)

    def _one(self, client: httpx.Client, number: int, chance: random.Random) -> None:
        key = f"storm-{number}"
        job = self._ask(client, key, number)
        if job is None:
            return
        with self._lock:
            self._accepted.jobs[key] = job
        if chance.random() < ASKED_AGAIN:
            again = self._ask(client, key, number)
            with self._lock:
                self._accepted.again += 1
                self._accepted.differed += again != job
        if chance.random() < CANCELED:
            time.sleep(chance.uniform(0, 0.5))
            self._post(client, f"/api/v1/jobs/{job}/cancel", {}, {})

    def _ask(self, client: httpx.Client, key: str, number: int) -> str | None:
        body = {
            "prompt": f"storm {number}",
            "size": {"width": SIDE, "height": SIDE},
            "steps": STEPS,
            "seeds": [number, number + 1_000_000][: 1 + number % 2],
        }
        said = self._post(client, "/api/v1/generations", body, {"idempotency-key": key})
        return None if said is None else str(said["jobId"])

    def _post(
        self, client: httpx.Client, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> dict[str, Any] | None:
        """The answer; again and again while nobody answers or the service says later."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                answer = client.post(path, json=body, headers=headers)
            except httpx.HTTPError:
                time.sleep(RETRY)
                continue
            if answer.status_code == httpx.codes.ACCEPTED:
                said: dict[str, Any] = answer.json()
                return said
            if answer.status_code not in {429, 503}:
                with self._lock:
                    self._accepted.refused.append(f"{answer.status_code} {answer.text[:200]}")
                return None
            time.sleep(RETRY)
        with self._lock:
            self._accepted.given_up += 1
        return None
