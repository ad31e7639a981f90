"""`python -m export target=triton`: what it writes is what a real server draws from."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console

from export.__main__ import CONF, export
from export.bundle import Export
from luciole.bundle import Bundle
from luciole.client.triton import TritonGenerate
from luciole.domain import InvalidRequest, RenderPlan, SolverName
from luciole.engines.onnx import OnnxEngine
from luciole.pipeline import Pipeline
from serving.triton.environment import TritonEnvironment
from serving.triton.server import TritonServer

PLAN = RenderPlan(
    prompt="a girl in rain",
    width=64,
    height=64,
    steps=3,
    guidance_scale=3.0,
    seed=1,
    solver=SolverName.DPMPP_2M,
    styles=({"name": "ink", "weight": 0.7},),  # type: ignore[arg-type]
)


def export_to_triton(bundle: Bundle, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, over a bundle that has been exported before: that part takes a minute."""
    monkeypatch.setattr(Export, "run", lambda *_: (bundle, []))
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("export", ["target=triton", f"target.repository.out={out}"])
    export(config, Console(quiet=True))


def test_a_server_draws_from_the_repository_what_is_drawn_in_process(
    tiny_bundle: Bundle,
    triton_environment: TritonEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "repository"
    export_to_triton(tiny_bundle, out, monkeypatch)
    server = TritonServer(triton_environment, out / "models", tmp_path / "triton.log")
    server.start()
    try:
        with TritonGenerate(server.url) as client:
            drawn = client.draw(PLAN)
    finally:
        server.stop()
    engine = OnnxEngine(tiny_bundle, threads=1)
    assert (drawn == Pipeline(engine).render([PLAN])[0]).all()
    engine.close()


def test_a_repository_that_is_there_is_not_written_over(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match=r"target\.repository\.out: .* exists"):
        export_to_triton(tiny_bundle, tmp_path, monkeypatch)
