"""OpenVINO computes what ONNX Runtime does, row by row, in fp32 and nearly so in bf16."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luciole.bundle import Bundle
from luciole.compiled import Compiled, Machine
from luciole.domain import BundleError, EngineError, StyleUse
from luciole.engines import openvino
from luciole.engines.onnx import OnnxEngine
from luciole.engines.openvino import SHAPES, OpenVinoEngine, OpenVinoSession, openvino_machine
from luciole.engines.sessions import SessionEngine
from luciole.engines.styles import Styles
from serving.probe import small_inputs
from tests.ready import ready

BF16 = openvino_machine().capability == "bf16"
MIXES: list[list[tuple[str, float]]] = [
    [],
    [("ink", 1.0)],
    [],
    [("neon", 0.5), ("ink", -0.3)],
    [("pastel", 0.8), ("ink", 0.4), ("neon", 1.0)],
    [],
    [("neon", 1.5)],
]


@pytest.fixture(scope="module")
def exact(guided_bundle: Bundle) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(guided_bundle, threads=1, style_slots=9)
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def engine(
    guided_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[OpenVinoEngine]:
    if request.param == "bf16" and not BF16:
        pytest.skip("this CPU does not compute in bf16")
    bundle = ready(guided_bundle, tmp_path_factory.mktemp("ready"), request.param)
    engine = OpenVinoEngine(bundle, threads=1, style_slots=9)
    yield engine
    engine.close()


def tolerance(engine: SessionEngine) -> float:
    """Of the largest value."""
    precision = Compiled.read(engine.bundle, openvino.Runtime.OPENVINO).graphs["denoiser"].precision
    return {"fp32": 1e-5, "bf16": 0.05}[precision]


def rows(count: int, timestep: float | None = None) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "latents": draw.standard_normal((count, 8, 8, 12), np.float32),
        "timestep": np.full(count, timestep, np.float32)
        if timestep is not None
        else np.linspace(0, 999, count, dtype=np.float32),
        "text_states": draw.standard_normal((count, 77, 64), np.float32),
        "pooled": draw.standard_normal((count, 32), np.float32),
        "time_ids": np.full((count, 6), 128, np.float32),
        "style_slot": np.zeros((count, 4), np.int64),
        "style_weight": np.zeros((count, 4), np.float32),
    }


def off(found: Any, wanted: Any) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def test_every_graph_says_what_onnx_runtime_says(engine: OpenVinoEngine, exact: OnnxEngine) -> None:
    for graph in engine.bundle.manifest.graphs:
        inputs = small_inputs(engine.bundle, graph)
        wanted = exact.run(graph, inputs)
        found = engine.run(graph, inputs)
        assert found.keys() == wanted.keys()
        for name, one in wanted.items():
            assert found[name].shape == one.shape
            assert found[name].dtype == one.dtype
            assert off(found[name], one) < tolerance(engine), (graph, name)


def mixed(engine: SessionEngine, inputs: dict[str, Any], mixes: Any) -> Any:
    """A prediction for each row with its mix of styles."""
    styles = Styles(engine.bundle, engine.bank)
    with ExitStack() as held:
        for row, mix in enumerate(mixes):
            uses = [StyleUse(name=name, weight=weight) for name, weight in mix]
            places = held.enter_context(styles.hold(uses))
            if places is not None and uses:
                inputs["style_slot"][row] = places.slots
                inputs["style_weight"][row] = places.weights
        return engine.run("denoiser", inputs)["prediction"]


def test_rows_of_many_styles_and_of_none_are_what_onnx_runtime_makes_of_them(
    engine: OpenVinoEngine, exact: OnnxEngine
) -> None:
    found, wanted = (mixed(one, rows(len(MIXES)), MIXES) for one in (engine, exact))
    assert off(found, wanted) < tolerance(engine)
    unstyled = exact.run("denoiser", rows(len(MIXES)))["prediction"]
    for row, mix in enumerate(MIXES):
        assert (off(wanted[row], unstyled[row]) < 1e-5) == (not mix)


def test_neighbours_change_no_byte(engine: OpenVinoEngine) -> None:
    together = mixed(engine, rows(len(MIXES)), MIXES)
    for row, mix in enumerate(MIXES):
        alone = {name: one[row : row + 1] for name, one in rows(len(MIXES)).items()}
        np.testing.assert_array_equal(mixed(engine, alone, [mix])[0], together[row])


def test_a_timestep_that_bf16_has_not_is_not_rounded(
    engine: OpenVinoEngine, exact: OnnxEngine
) -> None:
    found = engine.run("denoiser", rows(1, 999))["prediction"]
    here, rounded = (exact.run("denoiser", rows(1, t))["prediction"] for t in (999, 1000))
    assert off(found, here) < off(found, rounded)
    session = engine._session("denoiser")
    assert isinstance(session, OpenVinoSession)
    assert session._times is not None
    said = [session._times.infer(rows(1, t)) for t in (999, 1000)]
    assert any(not np.array_equal(said[0][name], said[1][name]) for name in said[0])


def test_few_shapes_stay_compiled_whatever_comes(engine: OpenVinoEngine) -> None:
    latents = np.random.default_rng(0).standard_normal((21, 8, 8, 4), np.float32)
    whole = engine.run("vae_decoder", {"latents": latents})["pictures"]
    assert whole.shape == (21, 3, 64, 32)
    session = engine._session("vae_decoder")
    assert isinstance(session, OpenVinoSession)
    sizes = {key[1][0] for key in session._compiled}  # type: ignore[index]
    assert sizes <= {16, 4, 1}
    for side in range(4, 5 + SHAPES):
        engine.run("vae_decoder", {"latents": latents[:1, :, :, :1].repeat(side, axis=3)})
    assert len(session._compiled) == SHAPES


def test_a_bundle_that_was_not_measured_or_elsewhere_is_refused(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="python -m export target=openvino"):
        OpenVinoEngine(tiny_bundle)
    there = ready(tiny_bundle, tmp_path / "there")
    other = Machine(library="openvino", version="1.0", device="cpu", capability="bf16")
    monkeypatch.setattr(openvino, "openvino_machine", lambda: other)
    with pytest.raises(BundleError, match=r"here is '1\.0'; run here: python -m export"):
        OpenVinoEngine(there)


def test_without_the_library_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"pip install 'luciole\[openvino\]'"):
        openvino_machine()


def test_nobody_is_told_of_its_use(tmp_path: Path) -> None:
    program = "from luciole.engines.openvino import openvino_machine; openvino_machine()"
    told = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=told, check=True)
    assert not list(tmp_path.iterdir())


def test_signals_are_survived_after_engines_come_and_go(
    guided_bundle: Bundle, tmp_path: Path
) -> None:
    bundle = ready(guided_bundle, tmp_path / "ready", openvino_machine().capability)
    program = f"""
import faulthandler, gc, signal
faulthandler.enable()
from luciole.bundle import Bundle
from luciole.engines.openvino import OpenVinoEngine
from serving.probe import small_inputs
bundle = Bundle.open({str(bundle.path)!r})
came = []
signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
engines = [OpenVinoEngine(bundle, threads=1) for _ in range(3)]
for engine in engines:
    for graph in ("vae_decoder", "text_encoder", "denoiser"):
        engine.run(graph, small_inputs(bundle, graph))
for _ in range(3):
    engines.pop(0).close()
    del engine
    engine = None
    gc.collect()
    signal.raise_signal(signal.SIGUSR1)
print(len(came))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stdout.split() == [b"3"]
