"""Steps of different requests in one call."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from luciole.bundle import Bundle
from luciole.domain import (
    Busy,
    Cancelled,
    DeadlineExceeded,
    EngineBadOutput,
    EngineError,
    RenderPlan,
    SolverName,
)
from luciole.engines import batcher as batcher_module
from luciole.engines.batcher import BatchLimits, StepBatcher
from luciole.engines.onnx import OnnxEngine
from luciole.pipeline import Pipeline

Tensors = dict[str, NDArray[Any]]


class Doubling:
    """Answers with twice the latents, once it is let; refuses latents that hold 13."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.bank = bundle, None
        self.calls: list[list[float]] = []
        self.let = threading.Event()
        self.let.set()

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        self.calls.append(inputs["latents"][:, 0, 0, 0].tolist())
        assert self.let.wait(10)
        if (inputs["latents"] == 13).any():
            raise EngineError(graph, "is superstitious")
        return {"pictures": 2 * inputs["latents"]}

    def close(self) -> None: ...


@pytest.fixture
def engine(tiny_bundle: Bundle) -> Doubling:
    return Doubling(tiny_bundle)


@contextmanager
def batching(engine: Any, **limits: int) -> Iterator[StepBatcher]:
    batcher = StepBatcher(engine, BatchLimits(**limits))
    try:
        yield batcher
    finally:
        if isinstance(engine, Doubling):
            engine.let.set()
        batcher.close()


def latents(value: float, rows: int = 1, side: int = 4) -> Tensors:
    return {"latents": np.full((rows, 8, side, side), value, np.float32)}


def eventually(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def waiting(batcher: StepBatcher, count: int) -> None:
    eventually(lambda: len(batcher._waiting) == count)


class Held:
    """Holds the engine in a first call, so that what is sent after it gathers."""

    def __init__(self, engine: Doubling, batcher: StepBatcher, pool: ThreadPoolExecutor) -> None:
        self.engine, self.batcher, self.pool = engine, batcher, pool
        self.sent: list[Any] = []
        engine.let.clear()
        self.first = pool.submit(batcher.open().run, "vae_decoder", latents(0))
        eventually(lambda: len(engine.calls) == 1)

    def send(self, value: float, rows: int = 1, side: int = 4, **how: Any) -> tuple[Any, Any]:
        request = self.batcher.open(**how)
        job = self.pool.submit(request.run, "vae_decoder", latents(value, rows, side))
        self.sent.append(job)
        waiting(self.batcher, len([one for one in self.sent if not one.done()]))
        return request, job


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as made:
        yield made


def test_what_gathers_while_a_call_runs_goes_into_the_next_one(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine) as batcher:
        held = Held(engine, batcher, pool)
        jobs = [held.send(value)[1] for value in (1, 2, 3)]
        engine.let.set()
        answers = [float(job.result()["pictures"][0, 0, 0, 0]) for job in jobs]
    assert answers == [2, 4, 6]
    assert engine.calls == [[0], [1, 2, 3]]


def test_a_call_holds_one_shape_and_no_more_than_its_rows_and_cells(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine, rows=4, cells=5 * 16) as batcher:
        held = Held(engine, batcher, pool)
        sent = ((1, 3, 4), (2, 2, 4), (3, 1, 8), (4, 1, 4), (5, 1, 8), (6, 7, 4))
        for value, rows, side in sent:
            held.send(value, rows, side)
        engine.let.set()
        for job in held.sent:
            job.result()
    assert engine.calls == [[0], [1, 1, 1, 4], [2, 2], [3], [5], [6] * 7]


def test_priority_then_deadline_then_arrival_decide_who_goes_first(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    soon = time.monotonic() + 60
    with batching(engine, rows=1) as batcher:
        held = Held(engine, batcher, pool)
        held.send(1)
        held.send(2, deadline=soon + 1)
        held.send(3, deadline=soon)
        held.send(4, priority=1)
        engine.let.set()
        for job in held.sent:
            job.result()
    assert engine.calls == [[0], [4], [3], [2], [1]]


def test_who_has_not_begun_goes_first_and_then_who_has_the_fewest_steps(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine, rows=1) as batcher:
        held = Held(engine, batcher, pool)
        batcher._seconds = 0.5
        begun = [held.send(value, steps=steps)[0] for value, steps in ((1, 30), (2, 4), (3, 20))]
        for request in begun:
            request.drawn = 1
        held.send(4, steps=30)
        engine.let.set()
        for job in held.sent:
            job.result()
    assert engine.calls == [[0], [4], [2], [3], [1]]


def test_who_cannot_be_on_time_any_more_waits_for_those_who_can_but_not_for_ever(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine, rows=1) as batcher:
        held = Held(engine, batcher, pool)
        batcher._seconds = batcher._alone = 0.5
        now = time.monotonic()
        forgotten, hopeless, slow, quick = (
            held.send(value, steps=steps)[0] for value, steps in ((1, 4), (2, 4), (3, 30), (4, 20))
        )
        for request in (forgotten, hopeless, slow, quick):
            request.drawn = 1
        forgotten.opened, forgotten.due = now - 50, now - 40
        hopeless.opened, hopeless.due = now - 5, now + 1  # its three steps take 1.5 s
        engine.let.set()
        for job in held.sent:
            job.result()
    assert engine.calls == [[0], [1], [4], [3], [2]]


def test_who_is_on_time_alone_and_late_in_company_goes_alone(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine, rows=2) as batcher:
        held = Held(engine, batcher, pool)
        now = time.monotonic()
        for value, due in ((1, now + 130), (2, now + 60), (3, now + 150)):
            held.send(value, steps=10)[0].due = due
        batcher._alone, batcher._together = 5.0, 10.0
        engine.let.set()
        for job in held.sent:
            job.result()
    assert engine.calls == [[0], [2], [1, 3]]


def test_who_is_due_first_is_not_overtaken_between_its_steps(
    engine: Doubling, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher_module, "GRACE", 1e4)
    due = time.monotonic() + 60

    def three_steps(value: float, deadline: float) -> None:
        with batcher.open(deadline=deadline) as request:
            for _ in range(3):
                request.run("vae_decoder", latents(value))

    with batching(engine, rows=1) as batcher:
        engine.let.clear()
        first = pool.submit(three_steps, 1, due)
        eventually(lambda: len(engine.calls) == 1)
        second = pool.submit(three_steps, 2, due + 1)
        waiting(batcher, 1)
        engine.let.set()
        first.result()
        second.result()
    assert engine.calls == [[1], [1], [1], [2], [2], [2]]


def test_a_request_has_begun_when_its_first_prediction_is_there(tiny_bundle: Bundle) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1)
    seen: list[bool] = []
    with batching(engine) as batcher, batcher.open(steps=2) as request:

        def look(*_: int) -> None:
            seen.append(request.begun)

        assert not request.begun
        Pipeline(engine).over(request).render([mixed_plans()[0]], progress=look)
    engine.close()
    assert seen == [True, True]


def test_a_cancelled_request_leaves_at_the_next_step(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine) as batcher:
        held = Held(engine, batcher, pool)
        gone, job = held.send(1)
        _, stays = held.send(2)
        gone.cancel()
        engine.let.set()
        with pytest.raises(Cancelled):
            job.result()
        stays.result()
        with pytest.raises(Cancelled):
            gone.run("vae_decoder", latents(1))
    assert engine.calls == [[0], [2]]


def test_after_its_deadline_no_step_of_a_request_is_run(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine) as batcher:
        held = Held(engine, batcher, pool)
        _, job = held.send(1, deadline=time.monotonic() + 0.05)
        time.sleep(0.1)
        engine.let.set()
        with pytest.raises(DeadlineExceeded, match="deadline"):
            job.result()
    assert engine.calls == [[0]]


def test_one_bad_job_fails_alone_and_its_neighbours_get_their_answers(
    engine: Doubling, pool: ThreadPoolExecutor
) -> None:
    with batching(engine) as batcher:
        held = Held(engine, batcher, pool)
        jobs = [held.send(value)[1] for value in (1, 13, 3)]
        engine.let.set()
        assert float(jobs[0].result()["pictures"][0, 0, 0, 0]) == 2
        assert float(jobs[2].result()["pictures"][0, 0, 0, 0]) == 6
        with pytest.raises(EngineError, match="superstitious"):
            jobs[1].result()


def test_inputs_that_do_not_fit_never_reach_the_others(engine: Doubling) -> None:
    wrong = {"latents": np.zeros((1, 8, 4, 4))}
    refused = pytest.raises(EngineError, match=r"vae_decoder\.latents: is float64")
    with batching(engine) as batcher, batcher.open() as request, refused:
        request.run("vae_decoder", wrong)
    assert engine.calls == []


def test_a_full_batcher_says_when_to_come_back_and_takes_the_next_when_one_has_left(
    engine: Doubling,
) -> None:
    with batching(engine, requests=2) as batcher:
        first, _ = batcher.open(), batcher.open()
        with pytest.raises(Busy, match="try again in") as busy:
            batcher.open()
        assert busy.value.retry_after > 0
        first.close()
        first.close()
        assert batcher.open() is not first
        assert batcher.requests == 2


def test_closing_fails_what_waits(engine: Doubling, pool: ThreadPoolExecutor) -> None:
    batcher = StepBatcher(engine)
    held = Held(engine, batcher, pool)
    _, job = held.send(1)
    closing = pool.submit(batcher.close)
    eventually(lambda: batcher._closed)
    engine.let.set()
    closing.result()
    assert held.first.result()["pictures"].shape == (1, 8, 4, 4)
    with pytest.raises(EngineError, match="stopping"):
        job.result()
    with pytest.raises(EngineError, match="stopping"):
        batcher.open()


def test_ten_thousand_steps_all_come_back_as_their_own(engine: Doubling) -> None:
    def many(first: int) -> bool:
        with batcher.open() as request:
            return all(
                request.run("vae_decoder", latents(value))["pictures"][0, 0, 0, 0] == 2 * value
                for value in range(first, first + 625)
            )

    with batching(engine) as batcher, ThreadPoolExecutor(16) as pool:
        # 13 is refused by this engine; begin above it.
        assert all(pool.map(many, range(100, 10_100, 625)))
        assert batcher.rows == 10_000
        assert batcher.calls < 10_000


def mixed_plans() -> list[RenderPlan]:
    return [
        RenderPlan(
            prompt=f"a girl {'in rain ' * i}",
            negative_prompt="red",
            width=64 if i % 3 else 96,
            height=64,
            steps=2 + i % 3,
            guidance_scale=1.0 if i % 2 else 3.0,
            seed=i,
            solver=list(SolverName)[i % 4],
        )
        for i in range(8)
    ]


def test_a_mix_of_requests_draws_byte_for_byte_what_each_draws_alone(tiny_bundle: Bundle) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1)
    alone = [Pipeline(engine).render([plan])[0] for plan in mixed_plans()]
    pipeline = Pipeline(engine)

    def draw(plan: RenderPlan) -> NDArray[np.uint8]:
        with batcher.open() as request:
            return pipeline.over(request).render([plan])[0]

    with batching(engine) as batcher, ThreadPoolExecutor(8) as pool:
        together = list(pool.map(draw, mixed_plans()))
        assert batcher.calls < batcher.rows
    engine.close()
    for one, other in zip(alone, together, strict=True):
        assert one.tobytes() == other.tobytes()


class Spoiled:
    """Answers NaN to rows at timesteps that it was not shown while it learned."""

    def __init__(self, engine: OnnxEngine) -> None:
        self._engine, self.bundle, self.bank = engine, engine.bundle, engine.bank
        self.known: set[float] = set()
        self.learning = True

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        answers = self._engine.run(graph, inputs)
        if graph == "denoiser" and self.learning:
            self.known |= set(inputs["timestep"].tolist())
        elif graph == "denoiser":
            answers["prediction"][~np.isin(inputs["timestep"], list(self.known))] = np.nan
        return answers

    def close(self) -> None: ...


def test_nan_in_one_request_is_its_own_error_and_the_others_draw_the_same_bytes(
    tiny_bundle: Bundle,
) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1)
    spoiled = Spoiled(engine)
    pipeline = Pipeline(spoiled)
    good, bad = (
        [plan.model_copy(update={"steps": steps, "width": 64}) for plan in mixed_plans()[:4]]
        for steps in (3, 5)
    )
    alone = [pipeline.render([plan])[0] for plan in good]
    spoiled.learning = False

    def draw(plan: RenderPlan) -> NDArray[np.uint8]:
        with batcher.open() as request:
            return pipeline.over(request).render([plan])[0]

    with batching(spoiled) as batcher, ThreadPoolExecutor(4) as pool:
        drawn = [pool.submit(draw, plan) for plan in (good[0], bad[1], good[2], good[3])]
        with pytest.raises(EngineBadOutput):
            drawn[1].result(60)
        for i in (0, 2, 3):
            assert drawn[i].result(60).tobytes() == alone[i].tobytes()
    engine.close()
