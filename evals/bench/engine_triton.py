"""What Triton costs a step: the loop outside of the server and inside, against no server."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from evals.bench.result import Figure, median
from luciole.bundle import Bundle
from luciole.client.triton import TritonGenerate
from luciole.domain import RenderPlan, SolverName
from luciole.engines.onnx import OnnxEngine
from luciole.engines.triton import TritonEngine
from luciole.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
NANO = 1e9
STEPS = 20
PLAN = RenderPlan(
    prompt="a girl with red hair in the rain",
    width=128,
    height=128,
    steps=STEPS,
    guidance_scale=3.5,
    seed=1,
    solver=SolverName.DPMPP_2M,
)


def triton_figures(engine: OnnxEngine, rounds: int) -> list[Figure]:
    """Milliseconds of CPU that a step of one picture costs more, in all processes together."""
    with server(engine.bundle) as (process, address), TritonGenerate(address) as inside:
        far = TritonEngine(engine.bundle, address)
        local, outside = Pipeline(engine), Pipeline(far)
        ways: dict[str, Callable[[RenderPlan], NDArray[np.uint8]]] = {
            "none": lambda plan: local.render([plan])[0],
            "outside": lambda plan: outside.render([plan])[0],
            "inside": inside.draw,
        }
        drawn = [way(PLAN).tobytes() for way in ways.values()]
        if len(set(drawn)) > 1:
            raise SystemExit("Triton draws other bytes: nothing is timed")
        found = [_round(ways, turn, process.pid) for turn in range(rounds)]
        far.close()
    figures = []
    for name in ("outside", "inside"):
        added = [1000 * (one[name] - one["none"]) / STEPS for one in found]
        metric = f"CPU that Triton adds to a step, the loop {name}"
        peer = "no server, the same bytes"
        figures.append(Figure(metric, *median(added), "ms", None, "lower", peer))
    return figures


def _round(
    ways: Mapping[str, Callable[[RenderPlan], object]], turn: int, server: int
) -> dict[str, float]:
    """CPU seconds of each way, of this process and the server's; nobody knows the words yet."""
    plan = PLAN.model_copy(update={"prompt": f"{PLAN.prompt} {turn}"})
    names, found = list(ways), {}
    begin = turn % len(names)
    for name in names[begin:] + names[:begin]:
        before = time.process_time() + _family_cpu(server)
        ways[name](plan)
        found[name] = time.process_time() + _family_cpu(server) - before
    return found


@contextmanager
def server(bundle: Bundle) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """`python -m serving triton` on one thread, and the address of its gRPC."""
    with tempfile.TemporaryDirectory() as place:
        port = _three_ports()
        told = {
            "LUCIOLE_BUNDLE": str(bundle.path.resolve()),
            "LUCIOLE_TRITON_FOLDER": f"{place}/triton",
            "LUCIOLE_TRITON_BANK": f"{place}/bank",
            "LUCIOLE_THREADS": "1",
            "LUCIOLE_PORT": str(port),
            "LUCIOLE_LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, "-m", "serving", "triton"]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | told)  # noqa: S603 - our own
        try:
            _wait(process, f"127.0.0.1:{port + 1}")
            yield process, f"127.0.0.1:{port + 1}"
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", address: str) -> None:
    """Until the pipeline inside is ready."""
    with grpc.InferenceServerClient(address) as client:
        while process.poll() is None:
            with suppress(InferenceServerException):
                if client.is_model_ready("generate"):
                    return
            time.sleep(0.2)
    raise SystemExit("Triton does not start; python -m serving triton-setup makes it")


def _family_cpu(process: int) -> float:
    """Seconds of a process and all below it, since their threads began."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = {process}
    while more := {one for one, above in parents.items() if above in family} - family:
        family |= more
    spent = 0
    for one in family:
        for thread in Path(f"/proc/{one}/task").glob("*/schedstat"):
            with suppress(OSError):
                spent += int(thread.read_text().split()[0])
    return spent / NANO


def _three_ports() -> int:
    """The first of three in a row, the last two of which are the next ones."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
            except (OSError, OverflowError):
                continue
            return port
