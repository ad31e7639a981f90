"""Classifiers over HTTP and in process, and the pipeline that asks the policy."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luciole.bundle import Manifest
from luciole.domain import BundleError, RenderPlan, SolverName
from luciole.pictures import Picture
from luciole.pipeline import Look, Progress
from serving.orchestration.errors import ImageUnsafe, PromptUnsafe, ServiceAway
from serving.orchestration.policy import SHIPPED, ContentPolicy, PolicyRules
from serving.orchestration.policy_classifiers import ModerationService, OnnxPictures
from serving.orchestration.policy_guard import GuardedPipeline

RULES = PolicyRules.read(SHIPPED)


@contextmanager
def moderating(answer: Any) -> Iterator[tuple[ModerationService, list[Any]]]:
    """A server that answers every question so, and what it was asked."""
    asked: list[Any] = []

    class Moderations(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            asked.append((self.path, json.loads(self.rfile.read(length))))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Moderations)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service = ModerationService(f"http://127.0.0.1:{server.server_port}/v1", "any")
    try:
        yield service, asked
    finally:
        service.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_moderation_service_judges_words_and_pictures_by_our_names() -> None:
    answer = {"results": [{"category_scores": {"sexual/minors": 0.2, "self-harm": 0.1, "x": None}}]}
    picture = np.zeros((4, 4, 3), np.uint8)
    with moderating(answer) as (service, asked):
        policy = ContentPolicy(RULES, service, service)
        with pytest.raises(PromptUnsafe) as words:
            policy.check_prompt("a girl")
        with pytest.raises(ImageUnsafe):
            policy.check_picture(picture)
    assert words.value.category == "sexual_minors"
    assert [path for path, _ in asked] == ["/v1/moderations"] * 2
    assert asked[0][1]["input"] == [{"type": "text", "text": "a girl"}]
    assert asked[1][1]["input"][0]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("answer", [{}, {"results": []}, [], {"results": [{"flagged": True}]}])
def test_nothing_passes_unjudged_when_the_service_answers_something_else(answer: Any) -> None:
    with moderating(answer) as (service, _), pytest.raises(ServiceAway, match="scores"):
        ContentPolicy(RULES, service).check_prompt("a girl")


def test_nothing_passes_unjudged_when_the_service_is_away() -> None:
    service = ModerationService("http://127.0.0.1:9/v1", "any", timeout=1)
    with pytest.raises(ServiceAway, match="unjudged"):
        ContentPolicy(RULES, service).check_prompt("a girl")
    service.close()


@pytest.fixture(scope="module")
def redness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX graph whose two logits are the mean red and the mean green."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["picture", "axes"], ["means"], keepdims=0),
        helper.make_node("Slice", ["means", "zero", "two", "one"], ["logits"]),
    ]

    def ints(name: str, *values: int) -> Any:
        return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)

    shape = [1, 3, 8, 8]
    graph = helper.make_graph(
        nodes,
        "redness",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])],
        initializer=[ints("axes", 2, 3), ints("zero", 0), ints("two", 2), ints("one", 1)],
    )
    file = tmp_path_factory.mktemp("classifier") / "redness.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, file)
    return file


def test_a_graph_judges_pictures_of_any_size_by_softmax(redness: Path) -> None:
    classifier = OnnxPictures(redness, ["violence", "calm"], mean=(0, 0, 0), std=(1, 1, 1))
    red = np.zeros((32, 20, 3), np.uint8)
    red[..., 0] = 255
    scores = classifier.picture(red)
    assert scores["violence"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert sum(scores.values()) == pytest.approx(1)
    policy = ContentPolicy(RULES, pictures=classifier)
    with pytest.raises(ImageUnsafe, match="violence"):
        policy.check_picture(red)
    policy.check_picture(red[..., ::-1])


def test_a_graph_with_other_labels_is_refused(redness: Path) -> None:
    with pytest.raises(BundleError, match="2 numbers for 3 labels"):
        OnnxPictures(redness, ["a", "b", "c"])


class Red:
    """A pipeline that draws red squares and counts them."""

    def __init__(self) -> None:
        self.drawn = 0

    @property
    def manifest(self) -> Manifest:
        raise NotImplementedError

    def check(self, plan: RenderPlan) -> None:
        pass

    def over(self, engine: Any, pictures: Any = None) -> "Red":
        return self

    def render(
        self,
        plans: Sequence[RenderPlan],
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> list[Picture]:
        self.drawn += len(plans)
        drawn = [np.full((8, 8, 3), (255, 0, 0), np.uint8) for _ in plans]
        if look is not None:
            look(1, 2, lambda: drawn)
        return drawn


def plan(prompt: str) -> RenderPlan:
    return RenderPlan(
        prompt=prompt, width=8, height=8, steps=1, guidance_scale=1, seed=0, solver=SolverName.DDIM
    )


def test_a_refused_prompt_is_not_drawn_even_if_nobody_checked_it_before(redness: Path) -> None:
    pipeline = Red()
    guarded = GuardedPipeline(pipeline, ContentPolicy(RULES)).over(None)  # type: ignore[arg-type]
    with pytest.raises(PromptUnsafe):
        guarded.check(plan("gore"))
    with pytest.raises(PromptUnsafe):
        guarded.render([plan("a girl"), plan("gore")])
    assert pipeline.drawn == 0
    assert len(guarded.render([plan("a girl")])) == 1
    strict = OnnxPictures(redness, ["violence", "calm"], mean=(0, 0, 0), std=(1, 1, 1))
    judged = GuardedPipeline(pipeline, ContentPolicy(RULES, pictures=strict))
    with pytest.raises(ImageUnsafe):
        judged.render([plan("a girl")])
    seen: list[Picture] = []
    with pytest.raises(ImageUnsafe):
        judged.render([plan("a girl")], look=lambda done, total, so_far: seen.extend(so_far()))
    assert seen == []
