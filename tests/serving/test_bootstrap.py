"""How a service is put together, and what happens when a part is not to be had."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from luciole.bundle import Bundle
from luciole.compiled import Runtime
from luciole.domain import BundleError, EngineBadOutput, RenderPlan, SolverName, StyleUse
from luciole.engines.openvino import openvino_machine
from serving import bootstrap
from serving.bootstrap import drawing
from serving.engines import probes_of
from serving.settings import EngineChoice, Settings
from serving.triton.environment import TritonEnvironment
from serving.triton.errors import TritonUnavailable
from tests.ready import ready

PLANS = [
    RenderPlan(
        prompt="a girl in rain",
        width=128,
        height=96,
        steps=4,
        guidance_scale=5,
        seed=seed,
        solver=SolverName.DPMPP_2M,
        styles=[StyleUse(name=name, weight=0.7) for name in ("ink", "pastel")[:seed]],
    )
    for seed in range(3)
]


def with_engine(settings: Settings, engine: EngineChoice) -> Settings:
    return settings.model_copy(update={"engine": engine})


def test_starting_a_service_loads_no_torch() -> None:
    code = (
        "import sys, serving.bootstrap, serving.run, serving.demo.command, serving.__main__\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'lightning')"
        " if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_triton_and_the_in_process_engine_draw_the_same_bytes(
    settings: Settings, triton_environment: TritonEnvironment
) -> None:
    with drawing(with_engine(settings, EngineChoice.ONNX)) as local:
        here = local.pipeline.render(PLANS)
    with drawing(with_engine(settings, EngineChoice.TRITON)) as remote:
        assert remote.engine == "triton"
        remote.prove()
        there = remote.pipeline.render(PLANS)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)


def test_openvino_draws_nearly_the_same_and_is_proven(settings: Settings, tmp_path: Path) -> None:
    bf16 = openvino_machine().capability == "bf16"
    precision, error = ("bf16", 0.02) if bf16 else ("fp32", 1e-5)
    bundle = ready(Bundle.open(settings.bundle), tmp_path / "ready", precision, error)
    with drawing(with_engine(settings, EngineChoice.ONNX)) as local:
        here = local.pipeline.render(PLANS)
    asked = settings.model_copy(update={"bundle": bundle.path})
    with drawing(with_engine(asked, EngineChoice.OPENVINO)) as fast:
        assert fast.engine == "openvino"
        assert fast.told == {"LUCIOLE_ENGINE": "openvino"}
        fast.prove()
        there = fast.pipeline.render(PLANS)
    for one, other in zip(here, there, strict=True):
        assert np.abs(one.astype(int) - other).mean() < (2 if bf16 else 0.01)


def test_an_engine_that_is_off_by_more_than_was_measured_is_not_proven(
    settings: Settings, tmp_path: Path
) -> None:
    bundle = ready(Bundle.open(settings.bundle), tmp_path / "ready", "fp32", 0.0)
    (probe, *_) = probes_of(bundle, Runtime.OPENVINO, 1)
    wrong = {name: one * 1.01 for name, one in probe.expected.items()}
    with pytest.raises(EngineBadOutput, match="differs by"):
        probe.judge(wrong)
    probe.judge({name: one * 1.0005 for name, one in probe.expected.items()})
    rounded = ready(Bundle.open(settings.bundle), tmp_path / "rounded", "fp32", 0.01)
    probes_of(rounded, Runtime.OPENVINO, 1)[0].judge(wrong)


def test_without_triton_the_in_process_engine_takes_over_and_says_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    with drawing(with_engine(settings, EngineChoice.AUTO)) as ready:
        assert ready.engine == "onnx"
        assert ready.notice is not None
        assert "triton-setup" in ready.notice
        ready.prove()


def test_asking_for_triton_where_there_is_none_is_an_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    with (
        pytest.raises(TritonUnavailable, match="triton-setup"),
        drawing(with_engine(settings, EngineChoice.TRITON)),
    ):
        pass


def test_a_flipped_byte_in_the_bundle_is_named_and_nothing_starts(
    settings: Settings, tmp_path: Path
) -> None:
    bundle = shutil.copytree(settings.bundle, tmp_path / "bundle")
    graph = bundle / "vae_decoder.onnx"
    content = bytearray(graph.read_bytes())
    content[100] ^= 1
    graph.write_bytes(content)
    with (
        pytest.raises(BundleError, match=r"vae_decoder\.onnx"),
        drawing(settings.model_copy(update={"bundle": bundle})),
    ):
        pass


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCIOLE_PORT", "9000")
    monkeypatch.setenv("LUCIOLE_ENGINE", "onnx")
    assert (Settings().port, Settings().engine) == (9000, EngineChoice.ONNX)
