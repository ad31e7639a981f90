"""`python -m serving up` with a real Triton: the whole service, and what kills it cannot do."""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI

from luciole.bundle import Bundle
from serving.triton.environment import TritonEnvironment
from serving.triton.server import SHARED_MEMORY, children
from tests.serving.freezing import freeze

ROOT = Path(__file__).parents[2]
ADDRESS = "Ctrl-C stops it"


@dataclass
class Service:
    """A running `up`; `address` is read from what it printed."""

    process: subprocess.Popen[bytes]
    address: str

    @property
    def triton(self) -> int:
        """The process id of its tritonserver."""
        [pid] = children(self.process.pid)
        return pid

    def ask(self, steps: int = 2, seed: int = 1) -> openai.types.ImagesResponse:
        with OpenAI(base_url=f"{self.address}/v1", api_key="none", max_retries=0) as client:
            extra = {"num_inference_steps": steps, "seed": seed}
            return client.images.generate(prompt="a girl in rain", extra_body=extra, timeout=60)

    def steps(self) -> int:
        """How often Triton has run the denoiser since it started."""
        [port] = [flag.split("=")[1] for flag in self.flags() if flag.startswith("--http-port=")]
        stats = httpx.get(f"http://127.0.0.1:{port}/v2/models/denoiser/stats").json()
        return int(stats["model_stats"][0]["execution_count"])

    def flags(self) -> list[str]:
        """What its tritonserver was started with."""
        return Path(f"/proc/{self.triton}/cmdline").read_text().split("\0")

    def mark(self) -> str:
        """How the names of its shared memory begin."""
        [name] = [flag for flag in self.flags() if "shm-region-prefix-name=" in flag]
        return name.partition("shm-region-prefix-name=")[2]

    def ready(self) -> int:
        return httpx.get(f"{self.address}/readyz", timeout=30).status_code


def start(bundle: Bundle, folder: Path, workers: int = 0) -> Service:
    environment = os.environ | {
        "LUCIOLE_BUNDLE": str(bundle.path),
        "LUCIOLE_ENGINE": "triton",
        "LUCIOLE_PORT": "0",
        "LUCIOLE_WORKERS": str(workers),
        "LUCIOLE_READY_SECONDS": "0",
        "LUCIOLE_READY_PATIENCE": "1",
        "LUCIOLE_TRITON_FOLDER": str(folder),
        "LUCIOLE_STATE_FOLDER": str(folder / "state"),
        "LUCIOLE_CREDENTIALS": "false",
    }
    said = folder / "said.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving", "up"],
            cwd=ROOT,
            env=environment,
            stderr=file,
            # What a shell starts in the background ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    while ADDRESS not in said.read_text():
        assert process.poll() is None, f"it ended: {said.read_text()}"
        time.sleep(0.05)
    return Service(process, said.read_text().split("is at ")[1].split()[0])


@pytest.fixture(scope="module")
def running(
    tiny_bundle: Bundle,
    triton_environment: TritonEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    one = start(tiny_bundle, tmp_path_factory.mktemp("up"))
    family, mark = {one.triton, *children(one.triton)}, one.mark()
    yield one
    family |= {one.triton, *children(one.triton)}
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(30) == 130
    assert not [pid for pid in family if Path(f"/proc/{pid}/exe").exists()]
    assert not list(SHARED_MEMORY.glob(f"{mark}*"))


def during_a_request(service: Service, deed: Callable[[], None]) -> Exception:
    """Do it while a picture of 200 steps is drawn; the error that its caller got."""
    caught: list[Exception] = []

    def ask() -> None:
        try:
            service.ask(steps=200)
        except openai.APIError as error:
            caught.append(error)

    before = service.steps()
    thread = threading.Thread(target=ask)
    thread.start()
    while service.steps() < before + 3:
        time.sleep(0.01)
    deed()
    thread.join()
    assert caught, "the request was over before the deed"
    return caught[0]


def assert_typed(error: Exception) -> None:
    assert isinstance(error, openai.InternalServerError)
    assert error.status_code in {502, 503}
    assert error.code == "backend_unavailable"
    assert error.type == "server_error"


def test_the_official_client_gets_a_picture_drawn_by_triton(running: Service) -> None:
    answer = running.ask()
    assert answer.data is not None
    assert answer.data[0].b64_json is not None
    assert answer.model_extra is not None
    assert answer.model_extra["engine"] == "triton"
    while running.ready() != 200:
        time.sleep(0.1)


def test_killing_triton_during_a_request_is_a_typed_error_and_the_next_one_works(
    running: Service,
) -> None:
    before, triton = running.ask().data, running.triton
    assert_typed(during_a_request(running, lambda: os.kill(triton, signal.SIGKILL)))
    assert running.ask().data == before
    assert running.triton != triton


def test_killing_a_stub_during_a_request_is_a_typed_error_and_the_next_one_works(
    running: Service,
) -> None:
    before, triton = running.ask().data, running.triton

    def kill_the_stubs() -> None:
        for stub in children(triton):
            os.kill(stub, signal.SIGKILL)

    assert_typed(during_a_request(running, kill_the_stubs))
    assert running.ask().data == before


def test_a_triton_that_dies_while_idle_is_not_noticed_by_callers(running: Service) -> None:
    triton = running.triton
    os.kill(triton, signal.SIGKILL)
    while triton in children(running.process.pid):
        time.sleep(0.001)
    assert running.ask().data is not None


def test_a_frozen_triton_makes_the_service_unready_and_thawing_heals_it(running: Service) -> None:
    triton = running.triton
    freeze(triton)
    frozen = httpx.get(f"{running.address}/readyz", timeout=30)
    assert frozen.status_code == 503
    assert frozen.json()["detail"] == "engine: no answer within 1 s"
    assert httpx.get(f"{running.address}/healthz", timeout=30).status_code == 200
    os.kill(triton, signal.SIGCONT)
    while running.ready() != 200:
        time.sleep(0.1)
    assert running.ask().data is not None


def test_a_service_told_to_end_stops_its_triton(
    tiny_bundle: Bundle, triton_environment: TritonEnvironment, tmp_path: Path
) -> None:
    service = start(tiny_bundle, tmp_path)
    triton = service.triton
    service.process.terminate()
    assert service.process.wait(30) == 143
    assert not Path(f"/proc/{triton}/exe").exists()


def test_workers_draw_on_the_triton_that_runs_already(
    tiny_bundle: Bundle, triton_environment: TritonEnvironment, tmp_path: Path
) -> None:
    service = start(tiny_bundle, tmp_path, workers=1)
    try:
        styled = {"styles": [{"name": "ink", "weight": 1}], "num_inference_steps": 2, "seed": 5}
        with OpenAI(base_url=f"{service.address}/v1", api_key="none") as client:
            drawn = client.images.generate(prompt="a girl", extra_body=styled, timeout=60)
        with httpx.Client(base_url=service.address, timeout=60) as client:
            body = {"prompt": "a girl", "steps": 2, "seeds": [5], "style": {"presets": ["ink"]}}
            job = client.post("/api/v1/generations", json=body).json()["jobId"]
            until = time.monotonic() + 60
            while (shown := client.get(f"/api/v1/jobs/{job}").json())["endedAt"] is None:
                assert time.monotonic() < until
                time.sleep(0.1)
            assert shown["status"] == "succeeded", shown["error"]
            picture = client.get(shown["outputs"][0]["url"]).content
        assert drawn.data is not None
        assert picture == base64.b64decode(drawn.data[0].b64_json or "")
        assert len([one for one in family(service.process.pid) if is_triton(one)]) == 1
    finally:
        service.process.send_signal(signal.SIGINT)
        service.process.wait(30)


def family(pid: int) -> set[int]:
    """All that a process started, and what those did."""
    own = children(pid)
    return {*own}.union(*map(family, own))


def is_triton(pid: int) -> bool:
    return Path(f"/proc/{pid}/exe").resolve().name == "tritonserver"
