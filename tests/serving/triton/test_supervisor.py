"""A real Triton server under a supervisor: proven, killed, healed and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from luciole.domain import EngineBadOutput, EngineError
from serving.probe import Probe
from serving.triton.environment import TritonEnvironment
from serving.triton.errors import Reason, TritonUnavailable
from serving.triton.prober import Prober
from serving.triton.repository import write
from serving.triton.server import SHARED_MEMORY, TritonServer, children
from serving.triton.supervisor import Supervisor
from tests.serving.conftest import adder_probe, save_adder


def infer(supervisor: Supervisor, probe: Probe) -> None:
    prober = Prober(supervisor.server.url, timeout=5)
    try:
        prober.run(probe)
    finally:
        prober.close()


def test_the_numbers_come_back_right(adder_server: Supervisor) -> None:
    assert adder_server.ready
    infer(adder_server, adder_probe())


def test_a_wrong_number_is_a_bad_output_that_names_it(adder_server: Supervisor) -> None:
    with pytest.raises(EngineBadOutput, match=r"adder\.sums: differs by 1 "):
        infer(adder_server, adder_probe(offset=1))


def test_a_wrong_shape_is_refused_for_its_own_request_only(adder_server: Supervisor) -> None:
    wrong = Probe("adder", {"rows": np.ones((2, 2), np.float32)}, adder_probe().expected)
    with pytest.raises(EngineError, match="INVALID_ARGUMENT"):
        infer(adder_server, wrong)
    infer(adder_server, adder_probe())


def test_a_killed_stub_is_cured_by_reloading_its_model(adder_server: Supervisor) -> None:
    server, pid = adder_server.server, adder_server.server.pid
    assert pid is not None
    reloads = adder_server.reloads
    os.kill(children(pid).pop(), signal.SIGKILL)
    wait_until(lambda: adder_server.reloads > reloads)
    adder_server.wait_ready(60)
    infer(adder_server, adder_probe())
    assert server.pid == pid
    assert adder_server.reloads == reloads + 1


def test_a_killed_server_is_started_again_on_the_same_port(adder_server: Supervisor) -> None:
    pid, url = adder_server.server.pid, adder_server.server.url
    assert pid is not None
    stubs, restarts = children(pid), adder_server.restarts
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: adder_server.restarts > restarts)
    adder_server.wait_ready(60)
    infer(adder_server, adder_probe())
    assert adder_server.server.pid != pid
    assert adder_server.server.url == url
    assert not any(alive(stub) for stub in stubs)


def test_a_server_that_cannot_load_says_so_with_the_logs_words(
    triton_environment: TritonEnvironment, tmp_path: Path
) -> None:
    model = save_adder(tmp_path)
    write([replace(model, files={"adder.onnx": "0" * 64})], tmp_path / "repository")
    server = TritonServer(triton_environment, tmp_path / "repository", tmp_path / "triton.log")
    with pytest.raises(TritonUnavailable, match=r"adder\.onnx: its hash is not") as caught:
        Supervisor(server, [adder_probe()]).start()
    assert caught.value.reason is Reason.DOES_NOT_START
    assert server.pid is None


def test_a_server_that_answers_wrong_never_becomes_ready(
    triton_environment: TritonEnvironment, tmp_path: Path
) -> None:
    write([save_adder(tmp_path)], tmp_path / "repository")
    server = TritonServer(triton_environment, tmp_path / "repository", tmp_path / "triton.log")
    supervisor = Supervisor(server, [adder_probe(offset=1)])
    with pytest.raises(EngineBadOutput):
        supervisor.start()
    assert server.pid is None


def test_stopping_leaves_no_process_and_no_shared_memory(
    triton_environment: TritonEnvironment, tmp_path: Path
) -> None:
    write([save_adder(tmp_path)], tmp_path / "repository")
    server = TritonServer(triton_environment, tmp_path / "repository", tmp_path / "triton.log")
    supervisor = Supervisor(server, [adder_probe()])
    supervisor.start()
    assert server.pid is not None
    family = {server.pid, *children(server.pid)}
    assert len(family) == 2
    supervisor.stop()
    supervisor.stop()
    assert not any(alive(pid) for pid in family)
    assert not [p for p in SHARED_MEMORY.iterdir() if p.name.startswith(server.mark)]


def test_a_service_killed_outright_takes_its_triton_with_it(
    triton_environment: TritonEnvironment, tmp_path: Path
) -> None:
    write([save_adder(tmp_path)], tmp_path / "repository")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from serving.triton.environment import find\n"
        "from serving.triton.server import TritonServer\n"
        "folder = Path(sys.argv[1])\n"
        "s = TritonServer(find(Path.cwd()), folder / 'repository', folder / 'triton.log')\n"
        "s.start(); print(s.pid, flush=True); time.sleep(60)\n"
    )
    service = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=triton_environment.folder.parent,
    )
    assert service.stdout is not None
    triton = int(service.stdout.readline())
    service.kill()
    service.communicate()
    wait_until(lambda: not alive(triton))


def wait_until(fact: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
