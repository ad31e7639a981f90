"""The renderer alone, over a pipeline that only notes what it was asked."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from luciole.bundle import Manifest
from luciole.domain import Busy, EngineBadOutput, EngineError, RenderPlan, SolverName
from serving.gateway.drawing import Drawing, InProcess, Keeper, Pixels
from serving.gateway.renderer import Limits, Renderer


def plan(seed: int, width: int = 8) -> RenderPlan:
    return RenderPlan(
        prompt="a", width=width, height=8, steps=1, guidance_scale=1, seed=seed,
        solver=SolverName.EULER,
    )  # fmt: skip


class Notes:
    """A pipeline whose pictures are filled with their seed; waits until it is let."""

    def __init__(self, flaw: Callable[[RenderPlan], Exception | None] = lambda _: None) -> None:
        self.batches: list[list[int]] = []
        self.let = threading.Event()
        self.flaw = flaw

    @property
    def manifest(self) -> Manifest:
        raise NotImplementedError

    def check(self, plan: RenderPlan) -> None: ...

    def render(self, plans: Sequence[RenderPlan]) -> list[Pixels]:
        self.batches.append([plan.seed for plan in plans])
        assert self.let.wait(10)
        for one in plans:
            if (error := self.flaw(one)) is not None:
                raise error
        return [np.full((p.height, p.width, 3), p.seed, np.uint8) for p in plans]


@contextmanager
def rendering(
    notes: Notes, limits: Limits | None = None, keeper: Keeper | None = None
) -> Iterator[Renderer]:
    drawing = Drawing(notes, "notes", keeper or InProcess(), lambda: None)
    renderer = Renderer(drawing, limits or Limits(batch=4, gather=0.05))
    try:
        yield renderer
    finally:
        notes.let.set()
        renderer.close()


async def outcome(renderer: Renderer, *plans: RenderPlan) -> Any:
    try:
        return [int(picture[0, 0, 0]) for picture in await renderer.render(plans)]
    except (EngineError, Busy, ValueError) as error:
        return error


def test_requests_that_wait_together_are_drawn_together_and_keep_their_own() -> None:
    notes = Notes()
    notes.let.set()

    async def many(renderer: Renderer) -> list[Any]:
        return await asyncio.gather(*(outcome(renderer, plan(seed)) for seed in range(6)))

    with rendering(notes) as renderer:
        assert asyncio.run(many(renderer)) == [[seed] for seed in range(6)]
    assert [len(batch) for batch in notes.batches] == [4, 2]


def test_a_batch_has_one_size_and_nobody_is_forgotten() -> None:
    notes = Notes()
    notes.let.set()

    async def many(renderer: Renderer) -> list[Any]:
        widths = (8, 16, 8, 16)
        asked = (outcome(renderer, plan(seed, width)) for seed, width in enumerate(widths))
        return await asyncio.gather(*asked)

    with rendering(notes) as renderer:
        assert asyncio.run(many(renderer)) == [[0], [1], [2], [3]]
    assert notes.batches == [[0, 2], [1, 3]]


def test_a_full_line_turns_callers_away_at_once() -> None:
    notes = Notes()

    async def many(renderer: Renderer) -> tuple[Any, Any]:
        first = asyncio.create_task(outcome(renderer, plan(1), plan(2)))
        await asyncio.sleep(0.1)
        refused = await outcome(renderer, plan(3))
        notes.let.set()
        return await first, refused

    with rendering(notes, Limits(queue=2, gather=0)) as renderer:
        drawn, refused = asyncio.run(many(renderer))
    assert drawn == [1, 2]
    assert isinstance(refused, Busy)


def test_one_bad_output_fails_its_own_request_only() -> None:
    def bad(plan: RenderPlan) -> Exception | None:
        return EngineBadOutput("pictures", "NaN") if plan.seed == 1 else None

    notes = Notes(bad)
    notes.let.set()

    async def many(renderer: Renderer) -> list[Any]:
        return await asyncio.gather(*(outcome(renderer, plan(seed)) for seed in range(3)))

    with rendering(notes) as renderer:
        good, blamed, fine = asyncio.run(many(renderer))
    assert (good, fine) == ([0], [2])
    assert isinstance(blamed, EngineBadOutput)


def test_a_surprise_reaches_its_caller_and_the_next_request_works() -> None:
    notes = Notes(lambda plan: ValueError("surprise") if plan.seed == 1 else None)
    notes.let.set()
    with rendering(notes) as renderer:
        assert isinstance(asyncio.run(outcome(renderer, plan(1))), ValueError)
        assert asyncio.run(outcome(renderer, plan(2))) == [2]


def test_who_left_the_line_is_not_drawn() -> None:
    notes = Notes()

    async def many(renderer: Renderer) -> Any:
        first = asyncio.create_task(outcome(renderer, plan(1)))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(outcome(renderer, plan(2)))
        third = asyncio.create_task(outcome(renderer, plan(3)))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.sleep(0.05)
        notes.let.set()
        return await first, await third

    with rendering(notes, Limits(gather=0)) as renderer:
        assert asyncio.run(many(renderer)) == ([1], [3])
    assert notes.batches == [[1], [3]]


def test_a_request_is_given_up_after_its_time() -> None:
    notes = Notes()
    with rendering(notes, Limits(request=0.1)) as renderer:
        late = asyncio.run(outcome(renderer, plan(1)))
        assert isinstance(late, EngineError)
        assert "no picture within" in str(late)


def test_an_engine_that_stays_away_fails_all_who_wait() -> None:
    class Away(InProcess):
        def wait_ready(self, timeout: float) -> None:
            raise EngineError("triton", "is not ready")

    with rendering(Notes(), keeper=Away()) as renderer:
        gone = asyncio.run(outcome(renderer, plan(1), plan(2)))
        assert isinstance(gone, EngineError)
        assert renderer.pending == 0


def test_a_closed_renderer_takes_nothing() -> None:
    notes = Notes()
    with rendering(notes) as renderer:
        notes.let.set()
        renderer.close()
        with pytest.raises(EngineError, match="is stopping"):
            asyncio.run(renderer.render([plan(1)]))
