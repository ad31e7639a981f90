"""TritonEngine against a stand-in that speaks Triton's gRPC; the real server has its own tests."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

from luciole.bundle import Bundle
from luciole.domain import EngineError, RenderPlan, SolverName
from luciole.engines.onnx import OnnxEngine
from luciole.engines.triton import TritonEngine
from luciole.pipeline import Pipeline

TYPES = {"FP32": np.float32, "INT64": np.int64}


class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers ModelInfer from an in-process engine; `mood` makes it fail in Triton's ways."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.engine = engine
        self.mood = "well"
        self.released = Event()

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.mood == "raises":
            context.abort(grpc.StatusCode.INTERNAL, "Traceback: the model raised")
        if self.mood == "full":
            context.abort(grpc.StatusCode.UNAVAILABLE, "queue is full")
        if self.mood == "slow":
            self.released.wait(60)
        outputs = self.engine.run(request.model_name, self._inputs(request))
        if self.mood == "silent":
            outputs = {}
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        for name, value in outputs.items():
            response.outputs.add(name=name, datatype="FP32", shape=value.shape)
            response.raw_output_contents.append(value.tobytes())
        return response

    def _inputs(self, request: Any) -> dict[str, NDArray[Any]]:
        """Triton has no scalars: what comes as `[batch, 1]` may be `[batch]` to the graph."""
        ranks = {
            tensor.name: len(tensor.shape)
            for tensor in self.engine.bundle.manifest.graphs[request.model_name].inputs
        }
        return {
            tensor.name: np.frombuffer(raw, TYPES[tensor.datatype]).reshape(
                tensor.shape[: ranks[tensor.name]]
            )
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }


@pytest.fixture(scope="module")
def local(tiny_bundle: Bundle) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(tiny_bundle, threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def server(local: OnnxEngine) -> Iterator[tuple[StandIn, str]]:
    stand_in = StandIn(local)
    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(stand_in, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield stand_in, f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def stand_in(server: tuple[StandIn, str]) -> StandIn:
    server[0].mood = "well"
    return server[0]


@pytest.fixture
def remote(tiny_bundle: Bundle, server: tuple[StandIn, str]) -> Iterator[TritonEngine]:
    engine = TritonEngine(tiny_bundle, server[1], timeout_s=60)
    yield engine
    engine.close()


LATENTS = {"latents": np.zeros((1, 8, 4, 4), np.float32)}


def test_the_picture_is_that_of_the_engine_in_process(
    stand_in: StandIn, remote: TritonEngine, local: OnnxEngine
) -> None:
    plan = RenderPlan(
        prompt="a girl in rain",
        width=64,
        height=64,
        steps=2,
        guidance_scale=3,
        seed=1,
        solver=SolverName.DPMPP_2M,
    )
    far, near = (Pipeline(engine).render([plan])[0] for engine in (remote, local))
    assert far.tobytes() == near.tobytes()


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        ("raises", "INTERNAL: Traceback: the model raised"),
        ("full", "no answer .*UNAVAILABLE"),
        ("silent", r"vae_decoder\.pictures: is missing"),
    ],
)
def test_a_failing_server_is_an_engine_error_and_the_next_call_works(
    stand_in: StandIn, remote: TritonEngine, mood: str, message: str
) -> None:
    stand_in.mood = mood
    with pytest.raises(EngineError, match=message):
        remote.run("vae_decoder", LATENTS)
    stand_in.mood = "well"
    assert remote.run("vae_decoder", LATENTS)["pictures"].shape == (1, 3, 32, 32)


def test_an_answer_later_than_the_timeout_is_an_engine_error(
    stand_in: StandIn, tiny_bundle: Bundle, server: tuple[StandIn, str]
) -> None:
    stand_in.mood = "slow"
    hasty = TritonEngine(tiny_bundle, server[1], timeout_s=0.2)
    with pytest.raises(EngineError, match=r"no answer .*DEADLINE_EXCEEDED"):
        hasty.run("vae_decoder", LATENTS)
    stand_in.released.set()
    hasty.close()


def test_no_server_at_all_is_an_engine_error_that_says_where(tiny_bundle: Bundle) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{taken.getsockname()[1]}"
        engine = TritonEngine(tiny_bundle, url, timeout_s=5)
        with pytest.raises(EngineError, match=f"no answer from {url}"):
            engine.run("vae_decoder", LATENTS)
        engine.close()


def test_bad_inputs_are_named_before_anything_is_sent(tiny_bundle: Bundle) -> None:
    engine = TritonEngine(tiny_bundle, "127.0.0.1:1")
    with pytest.raises(EngineError, match=r"vae_decoder\.latents: is float64"):
        engine.run("vae_decoder", {"latents": LATENTS["latents"].astype(np.float64)})
    engine.close()
