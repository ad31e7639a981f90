"""What the tests of the service share: the Triton environment, and a server that adds."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from openai import OpenAI

from luciole.bundle import Bundle, TensorSpec
from serving.bootstrap import service
from serving.demo.command import serving
from serving.probe import Probe
from serving.run import address_of, listening
from serving.settings import EngineChoice, Settings
from serving.triton.environment import TritonEnvironment, prepare
from serving.triton.errors import TritonUnavailable
from serving.triton.repository import GraphModel, write
from serving.triton.server import TritonServer
from serving.triton.supervisor import Supervisor, Watch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def triton_environment() -> TritonEnvironment:
    """The real environment at the root; skipped only where no wheel can exist."""
    try:
        return prepare(ROOT)
    except TritonUnavailable as error:
        if error.reason.permanent:
            pytest.skip(f"no Triton here ({error.reason}): {error.message}")
        raise


def save_adder(folder: Path) -> GraphModel:
    """An ONNX graph that adds to every number of a row the row's own number."""
    import onnx
    from onnx import TensorProto, helper

    floats = TensorProto.FLOAT
    nodes = [
        helper.make_node("Unsqueeze", ["step", "axis"], ["column"]),
        helper.make_node("Add", ["rows", "column"], ["sums"]),
    ]
    graph = helper.make_graph(
        nodes,
        "adder",
        [
            helper.make_tensor_value_info("rows", floats, ["batch", "width"]),
            helper.make_tensor_value_info("step", floats, ["batch"]),
        ],
        [helper.make_tensor_value_info("sums", floats, ["batch", "width"])],
        initializer=[helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "adder.onnx")
    digest = hashlib.sha256((folder / "adder.onnx").read_bytes()).hexdigest()
    return GraphModel(
        name="adder",
        folder=folder,
        graph="adder.onnx",
        files={"adder.onnx": digest},
        inputs=[port("rows", "batch", "width"), port("step", "batch")],
        outputs=[port("sums", "batch", "width")],
        max_batch=8,
    )


def port(name: str, *axes: str) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=axes)


def adder_probe(offset: float = 0.0) -> Probe:
    """Two rows of two; `offset` makes the expectation wrong on purpose."""
    rows, step = np.eye(2, dtype=np.float32), np.array([1, 2], np.float32)
    return Probe("adder", {"rows": rows, "step": step}, {"sums": rows + step[:, None] + offset})


@pytest.fixture(scope="module")
def adder_server(
    triton_environment: TritonEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervisor]:
    """A supervised server with the one trivial model."""
    folder = tmp_path_factory.mktemp("adder")
    write([save_adder(folder)], folder / "repository")
    server = TritonServer(triton_environment, folder / "repository", folder / "triton.log")
    supervisor = Supervisor(server, [adder_probe()], Watch(look=0.1, probe=0.5, timeout=5))
    supervisor.start()
    yield supervisor
    supervisor.stop()


@pytest.fixture(scope="session")
def settings(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small service in process; copy it with changes for another."""
    return Settings(
        bundle=tiny_bundle.path,
        engine=EngineChoice.ONNX,
        port=0,
        threads=1,
        log_level="ERROR",
        triton_folder=tmp_path_factory.mktemp("triton"),
        state_folder=tmp_path_factory.mktemp("state"),
        credentials=False,  # their salts would make the bytes differ
    )


@pytest.fixture(scope="session")
def serve() -> Callable[[Settings], AbstractContextManager[str]]:
    """Runs a real uvicorn over the in-process engine for the time of a block; its address."""

    @contextmanager
    def run(settings: Settings) -> Iterator[str]:
        with (
            listening(settings) as door,
            service(settings) as (app, _),
            serving(app, address_of(door), door) as address,
        ):
            yield address

    return run


@pytest.fixture(scope="session")
def gateway(
    settings: Settings, serve: Callable[[Settings], AbstractContextManager[str]]
) -> Iterator[str]:
    """The address of a service for the owner of this machine."""
    with serve(settings) as address:
        yield address


@pytest.fixture
def openai_client(gateway: str) -> Iterator[OpenAI]:
    """The official client, told nothing but the address."""
    with OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0) as client:
        yield client
