"""`python -m evals.bench.gateway`: what the gateway adds to FastAPI doing the same JSON.

Both read the same request into the same model, write the same picture of 128 x 128 (which costs
nothing to draw) with the same encoder in a thread, and answer with the same JSON. The gateway also
knows its caller, limits, judges the words by the policy that comes along, counts, meters, keeps a
line of pictures and writes a bill of each request to SQLite; each request has other words. One
caller asks both in turns and waits for each answer. CPU is the servers' own, of all threads, and
that of what is written up to half a second later counts. Without more being said both are silent
and sign nothing.

Where it goes, of 900 us in the thread of the event loop under cProfile, which makes calls dear (the
peer's 730 are FastAPI's and its own): the policy 90, plans 75, the line of pictures 40 more than a
bare thread, knowing and limiting the caller 60, the log's name and metrics 50, a note of the bill
30. The route is called straight, which saves 250: its body becomes the model at once, and its
caller is no dependency. Bills are written by a thread of their own, 22 us each.

Encoders work on a picture of 1024 x 1024. The first event of a job is timed from the first step in
a worker of its own, over SQLite, to its arrival at a listener (server-sent events); the engine
pretends.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from evals.bench.result import Figure, median, write

SERVER = Path(__file__).parents[2] / "tests" / "serving" / "gateway" / "stub_gateway.py"
LIBRARIES = ("fastapi", "uvicorn", "uvloop", "pydantic", "pillow", "pybase64", "sqlalchemy")
WORKER = SERVER.parents[1] / "jobs" / "stub_worker.py"
QUIET = {"LUCIOLE_LOG_LEVEL": "WARNING", "LUCIOLE_CREDENTIALS": "false"}
SETTLE = 0.7
"""Seconds until the bills of a round are written."""


@dataclass
class Server:
    """A running server, and its state's folder."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    state: Path

    def cpu(self) -> float:
        """Seconds of all its threads, since its start."""
        # The clock of another process, as clock_getcpuclockid(3) numbers it.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def ask(self, number: int) -> float:
        """Seconds until a request was answered."""
        body = asked(number)
        began = time.perf_counter()
        self.client.post("/v1/images/generations", json=body).raise_for_status()
        return time.perf_counter() - began


def asked(number: int) -> dict[str, object]:
    """A request of its own."""
    words = f"anime girl walking in rain, {number}"
    return {"prompt": words, "size": "128x128", "seed": number}


@contextmanager
def running(kind: str, **told: str) -> Iterator[Server]:
    """The gateway or the bare application, told so by its environment, while the block lasts."""
    with tempfile.TemporaryDirectory() as state, (Path(state) / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(SERVER), kind, state],
            env=os.environ | {"PYTHONPATH": str(SERVER.parents[3])} | QUIET | told,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        stdout = process.stdout
        if stdout is None:
            raise RuntimeError("the server has no stdout")
        try:
            address = stdout.readline().decode().strip()
            with httpx.Client(base_url=address, timeout=30) as client:
                _wait(client)
                yield Server(process, client, Path(state))
        finally:
            process.terminate()
            process.wait()
            stdout.close()


def _wait(client: httpx.Client) -> None:
    while True:
        try:
            client.post("/v1/images/generations", json=asked(0)).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return


def overhead(rounds: int, requests: int) -> list[Figure]:
    """Added time and the ratio of CPU; then that ratio where both do more."""
    added, ratios = compared(rounds, requests)
    peer = "FastAPI alone, the same JSON and picture"
    figures = [
        Figure("added time of a request, p50", *median(added), "ms", 1.5, "lower", peer),
        Figure("CPU of a request", *median(ratios), "times", 1.25, "lower", peer),
    ]
    more = {
        "where both log each": {"LUCIOLE_LOG_LEVEL": "INFO"},
        "where both sign pictures": {"LUCIOLE_CREDENTIALS": "true"},
    }
    for words, told in more.items():
        _, ratios = compared(rounds // 2, requests // 2, **told)
        metric = f"CPU of a request, {words}"
        figures.append(Figure(metric, *median(ratios), "times", None, "lower", peer))
    return figures


def compared(rounds: int, requests: int, **told: str) -> tuple[list[float], list[float]]:
    """Added ms and the ratio of CPU, of each round."""
    added, ratios = [], []
    with running("gateway", **told) as gateway, running("bare", **told) as bare:
        asked_in_turns((gateway, bare), requests)
        for _ in range(rounds):
            ours, theirs = asked_in_turns((gateway, bare), requests)
            added.append(ours[0] - theirs[0])
            ratios.append(ours[1] / theirs[1])
    return added, ratios


def asked_in_turns(servers: Sequence[Server], requests: int) -> list[tuple[float, float]]:
    """The median time of a request, and CPU of one, in ms, of each server."""
    before = [server.cpu() for server in servers]
    times = [[server.ask(number) for server in servers] for number in range(requests)]
    time.sleep(SETTLE)
    spent = [server.cpu() - start for server, start in zip(servers, before, strict=True)]
    medians = np.median(times, axis=0).tolist()
    return [(1000 * one, 1000 * cpu / requests) for one, cpu in zip(medians, spent, strict=True)]


def encoding(rounds: int) -> list[Figure]:
    """How much cheaper our PNG is than Pillow's default one, in CPU; timed by the server's code."""
    command = [sys.executable, str(SERVER), "encoding", str(rounds)]
    environment = os.environ | {"PYTHONPATH": str(SERVER.parents[3])}
    said = subprocess.run(  # noqa: S603 - our own program
        command, env=environment, capture_output=True, check=True
    ).stdout
    peer = "Pillow's default PNG"
    figures = []
    for name, ratios in json.loads(said).items():
        goal = 6.0 if name == "PNG" else None
        metric = f"{name} of 1024 x 1024, cheaper by"
        figures.append(Figure(metric, *median(ratios), "times", goal, "higher", peer))
    return figures


def first_event(jobs: int) -> list[Figure]:
    """From the first step of a job to the arrival of its first progress event."""
    with running("gateway") as gateway, working(gateway.state):
        took = [_first_event(gateway, f"job {n}") for n in range(jobs + 2)][2:]
    metric = "first progress event after its step"
    return [Figure(metric, *median(took), "ms", 50.0, "lower", "")]


@contextmanager
def working(state: Path) -> Iterator[None]:
    """A worker over the gateway's database, whose steps take 20 ms."""
    limits = {"lease": 30, "poll": 0.05, "house": 5, "tries": 3, "grace": 1}
    places = [f"sqlite:///{state}/luciole.db", str(state / "objects"), str(state / "notes")]
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(WORKER), *places, json.dumps(limits)],
        env=os.environ | {"PYTHONPATH": str(SERVER.parents[3])},
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _first_event(gateway: Server, project: str) -> float:
    """In ms; the listener is there before the job."""
    body = {"prompt": "a", "project": project, "steps": 10, "size": {"width": 64, "height": 64}}
    with gateway.client.stream("GET", "/api/v1/events", params={"project": project}) as stream:
        lines = stream.iter_lines()
        next(lines)
        gateway.client.post("/api/v1/generations", json=body).raise_for_status()
        while next(lines) != "event: job.progress":
            pass
        arrived = time.time()
    return 1000 * (arrived - float((gateway.state / "stepped").read_text()))


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=200)
    asked = parser.parse_args()
    figures = [*overhead(asked.rounds, asked.requests), *encoding(asked.rounds)]
    figures += first_event(2 * asked.rounds)
    print(write("gateway", figures, LIBRARIES, __doc__ or ""))  # noqa: T201


if __name__ == "__main__":
    main()
