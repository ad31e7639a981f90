"""`python -m export target=triton`: what it writes is what a real server draws from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console

from evals.parity import Parity
from evals.sample import Settings
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


@pytest.fixture(scope="module")
def address(
    tiny_bundle: Bundle,
    triton_environment: TritonEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Of a server that runs from the repository."""
    place = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        export_to_triton(tiny_bundle, place / "repository", patch)
    server = TritonServer(triton_environment, place / "repository" / "models", place / "triton.log")
    server.start()
    yield server.url
    server.stop()


def test_a_server_draws_from_the_repository_what_is_drawn_in_process(
    tiny_bundle: Bundle, address: str
) -> None:
    with TritonGenerate(address) as client:
        drawn = client.draw(PLAN)
    engine = OnnxEngine(tiny_bundle, threads=1)
    assert (drawn == Pipeline(engine).render([PLAN])[0]).all()
    engine.close()


def test_the_evaluation_finds_triton_equal_to_the_engine_in_process(
    tiny_bundle: Bundle, tiny_folder: Path, address: str
) -> None:
    parity = Parity(str(tiny_bundle.path), str(tiny_folder), address, prompts=1)
    settings = Settings(steps=2, guidance_scale=3.5, solver=SolverName.DPMPP_2M, threads=1)
    graphs, drawn = parity.measure(settings, seed=1)
    over = [one for one in graphs if one.engines == "onnx, triton"]
    assert {one.graph for one in over} == set(tiny_bundle.manifest.graphs)
    assert all(one.relative_error == 0 for one in over)
    assert {one.engines for one in drawn} == {"torch, onnx", "torch, triton"}
    assert parity.kept(graphs, drawn)


def test_a_repository_that_is_there_is_not_written_over(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match=r"target\.repository\.out: .* exists"):
        export_to_triton(tiny_bundle, tmp_path, monkeypatch)
