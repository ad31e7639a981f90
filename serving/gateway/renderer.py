"""Turns plans into pictures off the event loop; the steps of all that are drawn meet in calls."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from luciole.domain import Busy, Cancelled, EngineBadOutput, EngineError, RenderPlan
from luciole.engines.batcher import BatchedEngine
from luciole.pictures import Pictures
from serving.gateway.drawing import Drawing, Draws, Pixels
from serving.gateway.metrics import Metrics

T = TypeVar("T")
Make = Callable[[RenderPlan, Pixels], T]
log = structlog.get_logger()


@dataclass(frozen=True)
class Limits:
    """Bounds of a renderer; times in seconds."""

    queue: int = 64
    at_once: int = 8
    recovery: float = 20.0
    request: float = 120.0


@dataclass(frozen=True)
class Views:
    """How often a picture is looked at on its way, and who sees it: (index, pixels)."""

    count: int
    see: Callable[[int, Pixels], None]

    def due(self, done: int, steps: int) -> int | None:
        """Which view follows a step, spread over the way; None for most."""
        for index in range(self.count):
            if done == max(1, round((index + 1) * steps / (self.count + 1))):
                return index
        return None


@dataclass(eq=False)
class _Task:
    """One picture; whoever asked for it may leave at any time."""

    plan: RenderPlan
    make: Make[Any]
    deadline: float
    views: Views | None = None
    accepted: float = field(default_factory=time.monotonic)
    request: BatchedEngine | None = None
    gone: bool = False

    def take(self, request: BatchedEngine) -> None:
        """Draw with this view of the engine; Cancelled if nobody waits any more."""
        self.request = request
        if self.gone:
            raise Cancelled("request", "its caller has gone")

    def leave(self) -> None:
        """No further step is run."""
        self.gone = True
        request = self.request
        if request is not None:
            request.cancel()

    def put_down(self) -> None:
        """It is drawn: there is nothing left to stop."""
        self.request = None


class Renderer:
    """Each picture has its own thread while it is drawn; the rest wait in a bounded line.

    The thread that drew a picture also makes of it what is wanted, such as a file; meanwhile the
    next picture is drawn.
    """

    def __init__(
        self,
        drawing: Drawing,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        """`pictures`: those that plans name; who asks is checked before."""
        self._pictures = pictures
        self._pipeline, self._batcher = drawing.pipeline, drawing.batcher
        self._keeper = drawing.keeper
        self._limits = limits or Limits()
        self._metrics = metrics or Metrics()
        self._pool = ThreadPoolExecutor(2 * self._limits.at_once, "renderer")
        self._drawing = threading.BoundedSemaphore(self._limits.at_once)
        self._lock = threading.Lock()
        self._pending = 0
        self._closed = False
        self._away: tuple[float, EngineError] | None = None

    @property
    def pending(self) -> int:
        """Pictures accepted and not yet drawn."""
        return self._pending

    async def render(self, plans: Sequence[RenderPlan], views: Views | None = None) -> list[Pixels]:
        """One picture per plan; Busy when the line is full, EngineError when drawing fails."""
        return await self.made(plans, _as_drawn, views)

    async def made(
        self, plans: Sequence[RenderPlan], make: Make[T], views: Views | None = None
    ) -> list[T]:
        """What `make` makes of each picture, in its thread; Busy and EngineError as `render`."""
        tasks, made = self._accept(plans, make, views)
        try:
            async with asyncio.timeout(self._limits.request):
                return [await asyncio.wrap_future(one) for one in made]
        except TimeoutError:
            words = f"no picture within {self._limits.request:g} s"
            raise EngineError("renderer", words) from None
        finally:
            for task in tasks:
                task.leave()

    def close(self) -> None:
        """Fail what waits, finish what is being drawn."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(cancel_futures=True)

    def _accept(
        self, plans: Sequence[RenderPlan], make: Make[T], views: Views | None
    ) -> tuple[list[_Task], list[Future[T]]]:
        deadline = time.monotonic() + self._limits.request
        tasks = [_Task(plan, make, deadline, views) for plan in plans]
        with self._lock:
            if self._closed:
                raise EngineError("renderer", "the service is stopping")
            if self._pending + len(plans) > self._limits.queue:
                raise Busy("queue", f"{self._pending} pictures wait already")
            self._pending += len(plans)
            made: list[Future[T]] = [self._pool.submit(self._make, task) for task in tasks]
        for one in made:
            one.add_done_callback(self._done)
        return tasks, made

    def _done(self, _: Future[T]) -> None:
        with self._lock:
            self._pending -= 1

    def _make(self, task: _Task) -> Any:
        with self._drawing:
            picture = self._draw(task)
        task.put_down()
        return task.make(task.plan, picture)

    def _draw(self, task: _Task) -> Pixels:
        began = time.monotonic()
        try:
            picture = self._drawn(task)
        except EngineError as error:
            self._metrics.engine_errors.labels(error.code).inc()
            log.warning("drawing failed", cause=error.code, field=error.field)
            if not isinstance(error, EngineBadOutput):
                self._keeper.report_trouble()
            raise
        self._metrics.drawn(time.monotonic() - began)
        return picture

    def _drawn(self, task: _Task) -> Pixels:
        """An engine that was dead before it answered anything is healed and asked once more."""
        self._wait_ready(task)
        with self._batcher.open(deadline=task.deadline, steps=task.plan.steps) as request:
            task.take(request)
            pipeline = self._pipeline.over(request, self._pictures)
            try:
                return _rendered(pipeline, task)
            except EngineError as error:
                if request.answered or isinstance(error, EngineBadOutput):
                    raise
            self._keeper.report_trouble()
            self._wait_ready(task)
            return _rendered(pipeline, task)

    def _wait_ready(self, task: _Task) -> None:
        """Whoever waited already when the engine was given up shares that fate at once."""
        if self._away is not None and task.accepted < self._away[0]:
            raise self._away[1]
        try:
            self._keeper.wait_ready(self._limits.recovery)
        except EngineError as error:
            self._away = (time.monotonic(), error)
            raise


def _as_drawn(_: RenderPlan, pixels: Pixels) -> Pixels:
    return pixels


def _rendered(pipeline: Draws, task: _Task) -> Pixels:
    views = task.views
    if views is None or views.count == 0:
        return pipeline.render([task.plan])[0]

    def look(done: int, steps: int, now: Callable[[], list[Pixels]]) -> None:
        index = views.due(done, steps)
        if index is not None:
            views.see(index, now()[0])

    return pipeline.render([task.plan], look=look)[0]
