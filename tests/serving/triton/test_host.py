"""A Triton that is run apart: gateways and workers draw on it, with styles of their own."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from luciole.bundle import Bundle
from luciole.domain import EngineError, RenderPlan, SolverName, StyleUse
from serving.bootstrap import drawing
from serving.gateway.drawing import Drawing
from serving.settings import EngineChoice, Settings
from serving.triton.environment import TritonEnvironment
from serving.triton.server import free_ports
from serving.triton.shares import taken

ROOT = Path(__file__).parents[3]
PLANS = [
    RenderPlan(
        prompt="a girl in rain",
        width=64,
        height=64,
        steps=3,
        guidance_scale=5,
        seed=1,
        solver=SolverName.DPMPP_2M,
        styles=[StyleUse(name=name, weight=0.7)],
    )
    for name in ("ink", "pastel")
]


def three_ports() -> int:
    """The first of three in a row that nobody listens on."""
    while True:
        [first] = free_ports(1)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            for number in range(first, first + 3):
                held.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return first


@pytest.fixture(scope="module")
def apart(
    settings: Settings, triton_environment: TritonEnvironment, tmp_path_factory: Any
) -> Settings:
    folder = tmp_path_factory.mktemp("apart")
    return settings.model_copy(
        update={
            "engine": EngineChoice.AUTO,
            "triton_folder": folder / "triton",
            "triton_bank": folder / "bank",
            "triton_shares": 2,
            "port": three_ports(),
        }
    )


@contextlib.contextmanager
def hosted(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m serving triton` for the time of the block."""
    names = ("bundle", "threads", "triton_folder", "triton_bank", "triton_shares", "port")
    told = {f"LUCIOLE_{name.upper()}": str(getattr(settings, name)) for name in names}
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", "triton"],
        cwd=ROOT,
        env=os.environ | told,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def drawn(ready: Drawing, plan: RenderPlan) -> bytes:
    """The picture's bytes."""
    return ready.pipeline.render([plan])[0].tobytes()


def test_two_services_share_a_triton_with_styles_of_their_own_which_outlive_it(
    settings: Settings, apart: Settings
) -> None:
    with drawing(settings) as local:
        expected = [drawn(local, plan) for plan in PLANS]
    assert expected[0] != expected[1]
    caller = apart.model_copy(update={"triton_url": f"127.0.0.1:{apart.port + 1}"})
    with contextlib.ExitStack() as held:
        process = held.enter_context(hosted(apart))
        one, other = (held.enter_context(drawing(caller)) for _ in range(2))
        assert one.engine == "triton"
        assert [drawn(one, PLANS[0]), drawn(other, PLANS[1])] == expected
        assert [drawn(one, PLANS[1]), drawn(other, PLANS[0])] == expected[::-1]
        with pytest.raises(EngineError, match="all 2 shares are taken"), drawing(caller):
            pass
        process.kill()
        process.wait()
        with pytest.raises(EngineError):
            drawn(one, PLANS[0])
        one.keeper.report_trouble()
        held.enter_context(hosted(apart))
        one.keeper.wait_ready(60)
        assert [drawn(one, PLANS[0]), drawn(other, PLANS[1])] == expected


def test_a_bank_of_another_bundle_is_refused_by_its_folder(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with (
        pytest.raises(EngineError, match="must run there and hold this very bundle"),
        taken(tiny_bundle, tmp_path),
    ):
        pass
