"""The pipeline inside a real Triton server, asked by plain clients."""

import asyncio
import hashlib
import io
import json
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image

from luciole.bundle import Bundle
from luciole.client.triton import AsyncTritonGenerate, TritonGenerate
from luciole.domain import InvalidRequest, RenderPlan, SolverName
from luciole.engines.onnx import OnnxEngine
from luciole.engines.protocol import style_bank
from luciole.pictures import PicturesInMemory, decoded
from luciole.pipeline import Pipeline
from serving.probe import Probe, small_inputs
from serving.triton import repository
from serving.triton.environment import TritonEnvironment
from serving.triton.server import TritonServer, children
from serving.triton.supervisor import Supervisor, Watch

README = Path(repository.__file__).with_name("README.md")


def plan(**changes: Any) -> RenderPlan:
    settled: dict[str, Any] = {
        "prompt": "a girl in rain",
        "width": 64,
        "height": 64,
        "steps": 3,
        "guidance_scale": 3.0,
        "seed": 1,
        "solver": SolverName.EULER,
    }
    return RenderPlan(**{**settled, **changes})


@pytest.fixture(scope="module")
def supervisor(
    guided_bundle: Bundle,
    triton_environment: TritonEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Supervisor]:
    place = tmp_path_factory.mktemp("generate")
    style_bank(guided_bundle, 9, place / "bank", range(1, 5))
    models = repository.models_of(guided_bundle, 1, place / "bank")
    repository.write(models, place / "repository")
    inside = repository.PipelineModel(guided_bundle, place / "bank", range(5, 9), at_once=2)
    repository.write_pipeline(inside, place / "repository")
    running = TritonServer(triton_environment, place / "repository", place / "triton.log")
    engine, asked = OnnxEngine(guided_bundle, threads=1), small_inputs(guided_bundle, "denoiser")
    probes = [Probe("denoiser", asked, engine.run("denoiser", asked))]
    engine.close()
    supervisor = Supervisor(running, probes, Watch(look=0.1), unprobed=["generate"])
    supervisor.start()
    yield supervisor
    supervisor.stop()


@pytest.fixture
def server(supervisor: Supervisor) -> TritonServer:
    return supervisor.server


Answers = queue.Queue[tuple[Any, Any]]


def ask(server: TritonServer, asked: RenderPlan | str, *files: bytes) -> tuple[list[Any], Any]:
    """Events, then the picture; raises what the server says."""
    with asking(server, asked, *files) as answers:
        return finished(answers)


@contextmanager
def asking(server: TritonServer, asked: RenderPlan | str, *files: bytes) -> Iterator[Answers]:
    """What the server says, as it comes."""
    text = asked if isinstance(asked, str) else asked.model_dump_json()
    inputs = [strings("plan", [text.encode()])]
    inputs += [strings("pictures", list(files))] if files else []
    answers: Answers = queue.Queue()
    with triton.InferenceServerClient(server.url) as client:
        client.start_stream(callback=lambda result, error: answers.put((result, error)))
        client.async_stream_infer("generate", inputs)
        yield answers


def finished(answers: Answers) -> tuple[list[Any], Any]:
    """Events, then the picture."""
    events = []
    while True:
        result, error = answers.get(timeout=120)
        if error is not None:
            raise error
        events.append(json.loads(result.as_numpy("event")[0]))
        if "finished" in events[-1]:
            return events, result.as_numpy("picture")


def strings(name: str, values: list[bytes]) -> Any:
    tensor = triton.InferInput(name, [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=np.object_))
    return tensor


def test_inside_and_in_process_draw_the_same_bytes_each_among_others(
    server: TritonServer, guided_bundle: Bundle
) -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    plans = [
        plan(styles=[{"name": "ink"}]),
        plan(identities=[{"references": [name]}], styles=[{"name": "pastel", "weight": 0.5}]),
        plan(controls=[{"kind": "depth", "picture": name}], seed=3),
    ]
    found: dict[int, Any] = {}

    def one(i: int) -> None:
        found[i] = ask(server, plans[i], file.getvalue())

    threads = [threading.Thread(target=one, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine = OnnxEngine(guided_bundle, threads=1)
    pipeline = Pipeline(engine, PicturesInMemory({name: decoded(file.getvalue())}))
    for i, expected in enumerate(pipeline.render(plans)):
        events, picture = found[i]
        assert [event["done"] for event in events[:-1]] == [1, 2, 3]
        assert (picture == expected).all()
    engine.close()


def test_our_own_client_draws_the_same_and_hears_every_step(server: TritonServer) -> None:
    expected = ask(server, plan(seed=7))[1]
    heard: list[tuple[int, int]] = []
    with TritonGenerate(server.url) as client:
        drawn = client.draw(plan(seed=7), progress=lambda done, steps: heard.append((done, steps)))
        with pytest.raises(InvalidRequest, match="'gone' is not here") as caught:
            client.draw(plan(styles=[{"name": "gone"}]))
    assert (drawn == expected).all()
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert caught.value.field == "styles"


def test_our_client_for_event_loops_draws_the_same(server: TritonServer) -> None:
    async def use() -> None:
        async with AsyncTritonGenerate(server.url) as client:
            heard: list[int] = []
            drawn = await client.draw(plan(seed=7), progress=lambda done, _: heard.append(done))
            assert (drawn == ask(server, plan(seed=7))[1]).all()
            assert heard == [1, 2, 3]
            with pytest.raises(InvalidRequest, match="'gone' is not here"):
                await client.draw(plan(styles=[{"name": "gone"}]))

    asyncio.run(use())


def rows_drawn(server: TritonServer) -> int:
    """By the denoiser, since the server started, once it rests."""
    counts = [-1]
    with triton.InferenceServerClient(server.url) as client:
        while True:
            (told,) = client.get_inference_statistics("denoiser").model_stats
            counts.append(int(told.inference_stats.success.count))
            if counts[-1] == counts[-2]:
                return counts[-1]
            time.sleep(0.5)


def test_no_step_is_drawn_for_a_client_that_has_gone_and_others_get_the_same_bytes(
    server: TritonServer,
) -> None:
    expected = ask(server, plan(seed=5))[1]
    heard: queue.Queue[Any] = queue.Queue()
    steps, before = 150, rows_drawn(server)
    with triton.InferenceServerClient(server.url) as client:
        client.start_stream(callback=lambda result, error: heard.put((result, error)))
        asked = plan(steps=steps, guidance_scale=1.0).model_dump_json()
        client.async_stream_infer("generate", [strings("plan", [asked.encode()])])
        heard.get(timeout=60)
        client.stop_stream(cancel_requests=True)
    # Two pictures are drawn at a time here: these two need the place of the one that has gone.
    with ThreadPoolExecutor(2) as pool:
        for _, picture in pool.map(lambda _: ask(server, plan(seed=5)), range(2)):
            assert (picture == expected).all()
    assert rows_drawn(server) - before < steps


def test_our_client_brings_the_pictures_of_a_plan(server: TritonServer) -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    asked = plan(start={"picture": name, "strength": 0.5})
    with TritonGenerate(server.url) as client:
        drawn = client.draw(asked, [file.getvalue()])
        with pytest.raises(InvalidRequest, match="is not here"):
            client.draw(plan(start={"picture": "0" * 64, "strength": 0.5}), [file.getvalue()])
    assert drawn.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("{}", "invalid_request: prompt: Field required"),
        (plan(steps=3, styles=[{"name": "gone"}]), "invalid_request: styles: 'gone' is not here"),
        (plan(start={"picture": "0" * 64, "strength": 1}), "pictures: 000000000000 is not here"),
    ],
)
def test_errors_name_their_kind_and_field(server: TritonServer, asked: Any, words: str) -> None:
    with pytest.raises(triton.InferenceServerException, match=re.escape(words)):
        ask(server, asked)
    assert ask(server, plan())[1].shape == (64, 64, 3)


def test_a_killed_pipeline_is_loaded_again(supervisor: Supervisor) -> None:
    pid, before = supervisor.server.pid, cures(supervisor)
    kill(supervisor.server, "generate")
    healed(supervisor, before)
    assert ask(supervisor.server, plan())[1].shape == (64, 64, 3)
    assert supervisor.server.pid == pid


def test_a_denoiser_killed_in_mid_batch_fails_its_own_requests_and_no_others(
    supervisor: Supervisor,
) -> None:
    """The neighbour is drawn by the guided denoiser, which lives."""
    server, before, file = supervisor.server, cures(supervisor), io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    neighbour = plan(controls=[{"kind": "depth", "picture": name}], steps=40)
    plain = ask(server, plan())[1]
    expected = ask(server, neighbour, file.getvalue())[1]
    with (
        asking(server, plan(steps=150)) as doomed,
        asking(server, neighbour, file.getvalue()) as spared,
    ):
        for answers in (doomed, spared):
            answers.get(timeout=60)
        kill(server, "denoiser")
        with pytest.raises(triton.InferenceServerException, match="backend_unavailable: denoiser"):
            finished(doomed)
        assert (finished(spared)[1] == expected).all()
    healed(supervisor, before)
    assert (ask(server, plan())[1] == plain).all()


def kill(server: TritonServer, model: str) -> None:
    """The process that runs the model."""
    assert server.pid is not None
    stubs = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children(server.pid)}
    (stub,) = [child for child, line in stubs.items() if f"/{model}/".encode() in line]
    os.kill(stub, signal.SIGKILL)


def cures(supervisor: Supervisor) -> int:
    """How often something was wrong and was mended."""
    return supervisor.reloads + supervisor.restarts


def healed(supervisor: Supervisor, before: int) -> None:
    """Once the supervisor has mended something since; it may have done so long ago."""
    until = time.monotonic() + 120
    while cures(supervisor) == before:
        assert time.monotonic() < until, "nothing was seen to be wrong"
        time.sleep(0.01)
    supervisor.wait_ready(60)


def test_the_examples_of_the_readme_run(server: TritonServer, guided_bundle: Bundle) -> None:
    known: dict[str, Any] = {
        "grpc_address": server.url,
        "http_address": f"127.0.0.1:{server.http_port}",
        "latent_channels": guided_bundle.manifest.latent_channels,
    }
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    for block in blocks:
        exec(block, known)  # noqa: S102 - our own page
    assert known["picture"].shape == (128, 128, 3)
    assert known["grey"].shape == (1, 3, 128, 128)
