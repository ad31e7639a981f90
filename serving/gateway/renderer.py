"""Turns plans into pictures off the event loop, joining whoever waits into one batch."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import structlog

from luciole.domain import Busy, EngineBadOutput, EngineError, RenderPlan
from serving.gateway.drawing import Drawing, Pixels
from serving.gateway.metrics import Metrics

log = structlog.get_logger()


@dataclass(frozen=True)
class Limits:
    """Bounds of a renderer; times in seconds."""

    queue: int = 64
    batch: int = 8
    gather: float = 0.01
    recovery: float = 20.0
    request: float = 120.0


@dataclass(eq=False)
class _Task:
    plan: RenderPlan
    picture: Future[Pixels] = field(default_factory=Future)


class Renderer:
    """One thread draws; callers wait in a bounded line."""

    def __init__(
        self,
        drawing: Drawing,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._pipeline = drawing.pipeline
        self._keeper = drawing.keeper
        self._limits = limits or Limits()
        self._metrics = metrics or Metrics()
        self._waiting: deque[_Task] = deque()
        self._change = threading.Condition()
        self._drawing = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="renderer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Pictures accepted and not yet drawn."""
        return len(self._waiting) + self._drawing

    async def render(self, plans: Sequence[RenderPlan]) -> list[Pixels]:
        """One picture per plan; Busy when the line is full, EngineError when drawing fails."""
        tasks = self._accept(plans)
        drawn = asyncio.gather(*(asyncio.wrap_future(task.picture) for task in tasks))
        try:
            return await asyncio.wait_for(drawn, self._limits.request)
        except TimeoutError:
            words = f"no picture within {self._limits.request:.0f} s"
            raise EngineError("renderer", words) from None
        finally:
            for task in tasks:
                task.picture.cancel()

    def close(self) -> None:
        """Fail what waits, finish what is being drawn."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()
        self._fail(self._drop_all(), EngineError("renderer", "the service is stopping"))

    def _accept(self, plans: Sequence[RenderPlan]) -> list[_Task]:
        with self._change:
            if self._closed:
                raise EngineError("renderer", "the service is stopping")
            if self.pending + len(plans) > self._limits.queue:
                raise Busy("queue", f"{self.pending} pictures wait already; try again soon")
            tasks = [_Task(plan) for plan in plans]
            self._waiting.extend(tasks)
            self._change.notify_all()
        return tasks

    def _work(self) -> None:
        while batch := self._take():
            self._draw(batch)
            self._drawing = 0

    def _take(self) -> list[_Task]:
        """Wait for work, then briefly for company of the same size; nothing once closed."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closed)
            deadline = time.monotonic() + self._limits.gather
            while not self._closed and len(self._waiting) < self._limits.batch:
                left = deadline - time.monotonic()
                if left <= 0 or not self._change.wait(left):
                    break
            if self._closed:
                return []
            batch = self._companions()
            self._drawing = len(batch)
        live = [task for task in batch if task.picture.set_running_or_notify_cancel()]
        return live or self._take()

    def _companions(self) -> list[_Task]:
        """Take from the line the first task and those of its size, in order."""
        first = self._waiting[0].plan
        size = (first.width, first.height)
        alike = [t for t in self._waiting if (t.plan.width, t.plan.height) == size]
        batch = alike[: self._limits.batch]
        for task in batch:
            self._waiting.remove(task)
        return batch

    def _draw(self, batch: list[_Task]) -> None:
        try:
            self._keeper.wait_ready(self._limits.recovery)
        except EngineError as error:
            self._fail([*batch, *self._drop_all()], error)
            return
        began = time.monotonic()
        try:
            pictures = self._pipeline.render([task.plan for task in batch])
        except EngineBadOutput as error:
            self._blame(batch, error)
        except Exception as error:  # the top of a worker: the callers get whatever it was
            log.warning("drawing failed", pictures=len(batch), cause=type(error).__name__)
            if isinstance(error, EngineError):
                self._keeper.report_trouble()
            self._fail(batch, error)
        else:
            self._metrics.drawn(len(batch), time.monotonic() - began)
            for task, picture in zip(batch, pictures, strict=True):
                task.picture.set_result(picture)

    def _blame(self, batch: list[_Task], error: EngineBadOutput) -> None:
        """A batch came out wrong: draw each alone, so that only the guilty one fails."""
        if len(batch) == 1:
            self._fail(batch, error)
            return
        for task in batch:
            self._draw([task])

    def _drop_all(self) -> list[_Task]:
        with self._change:
            dropped = [t for t in self._waiting if t.picture.set_running_or_notify_cancel()]
            self._waiting.clear()
        return dropped

    def _fail(self, tasks: Sequence[_Task], error: Exception) -> None:
        if tasks and isinstance(error, EngineError):
            self._metrics.engine_errors.labels(error.code).inc()
        for task in tasks:
            task.picture.set_exception(error)
