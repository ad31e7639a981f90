"""Joins the steps of different requests into one call; who is urgent goes first at the next one."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from luciole.bundle import Bundle
from luciole.domain import Busy, Cancelled, DeadlineExceeded, EngineError
from luciole.engines.bank import StyleBank
from luciole.engines.protocol import Engine, checked_inputs
from luciole.engines.urgency import goes_alone, urgency

Tensors = dict[str, NDArray[Any]]
PATIENCE = 3.0
"""A request is due after so many times as long as its steps take alone."""
CALLS_AHEAD = 20
"""Of a picture that is being drawn, roughly: how long the next one waits for its end."""
GRACE = 0.03
"""Of a call's time: how long those that it answered may take to ask again."""


@dataclass(frozen=True)
class BatchLimits:
    """What one call and the whole batcher hold at most, so that memory is bounded."""

    rows: int = 16
    """In one call; never more than the bundle's own largest batch. Where larger calls save little
    for each row, small ones keep more promises: who is due first waits for fewer others."""
    cells: int = 16 * 32 * 32
    """Latent places (rows x height x width) in one call; a single larger job runs alone."""
    requests: int = 64
    """Open at once; beyond them callers are told to come back."""


@dataclass(eq=False)
class _Job:
    """One step of one request, waiting to be joined with its like."""

    request: "BatchedEngine"
    graph: str
    inputs: Tensors
    arrival: int
    answer: Future[Tensors] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def cells(self) -> int:
        latents = self.inputs.get("latents")
        return 0 if latents is None else int(np.prod(latents.shape)) // latents.shape[1]

    @property
    def kind(self) -> tuple[Any, ...]:
        """What jobs must share to be joined: the graph, and all shapes but the batch."""
        return (self.graph, *((n, v.shape[1:], v.dtype) for n, v in self.inputs.items()))

    def order(self, now: float, alone: float) -> tuple[Any, ...]:
        """Higher priority, then the more urgent, then who came first.

        `alone`: seconds of a call for one.
        """
        request = self.request
        left = alone * request.left
        urgent = urgency(
            begun=request.begun, opened=request.opened, due=request.due, left=left, now=now
        )
        return (-request.priority, urgent, self.arrival)


class BatchedEngine:
    """The engine as one request sees it; `run` waits for company's call, not for company."""

    def __init__(
        self,
        batcher: "StepBatcher",
        priority: int,
        deadline: float | None,
        due: float = float("inf"),
        steps: int = 0,
    ) -> None:
        """After `due`, a time of `time.monotonic`, it is late; after `deadline` nobody wants it.

        `steps` are to be run, as far as is known.
        """
        self._batcher = batcher
        self.priority, self.deadline, self.steps = priority, deadline, steps
        self.opened = time.monotonic()
        self.due = due if deadline is None else min(due, deadline)
        self._cancelled = threading.Event()
        self.drawn = 0
        """Predictions that came back."""
        self.answered = 0
        """Calls that came back."""

    @property
    def left(self) -> int:
        """Steps, as far as is known."""
        return max(0, self.steps - self.drawn)

    @property
    def begun(self) -> bool:
        """Whether a step was run."""
        return self.drawn > 0

    @property
    def bundle(self) -> Bundle:
        """The model behind it."""
        return self._batcher.bundle

    @property
    def bank(self) -> StyleBank | None:
        """The styles of the engine behind it."""
        return self._batcher.bank

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Outputs by name; Cancelled, DeadlineExceeded, or the EngineError of this job alone."""
        self.check()
        answer = self._batcher.submit(self, graph, checked_inputs(self.bundle, graph, inputs))
        self.answered += 1
        self.drawn += "prediction" in answer
        return answer

    def check(self) -> None:
        """Raises Cancelled or DeadlineExceeded once it is so."""
        if self._cancelled.is_set():
            raise Cancelled("request", "was cancelled by its caller")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceeded("deadline", "passed before the picture was done")

    def cancel(self) -> None:
        """No further step of this request is run."""
        self._cancelled.set()
        self._batcher.wake()

    def close(self) -> None:
        """Make room for another request; calling twice is fine."""
        self._batcher.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StepBatcher:
    """One thread calls the engine with whatever waits; nobody waits for strangers to come.

    While a call runs the next one's jobs gather, so that load makes batches by itself and a lone
    request pays nothing. Those that a call has answered ask again in a moment, which is waited for:
    else they would miss the next call for ever, and who is due first would come second.
    Each row has its own conditions; the answer to a row does not depend on its neighbours beyond
    the engine's own rounding.
    """

    def __init__(self, engine: Engine, limits: BatchLimits | None = None) -> None:
        self._engine, self._limits = engine, limits or BatchLimits()
        self._rows = min(self._limits.rows, engine.bundle.manifest.sizes.max_batch)
        self._waiting: list[_Job] = []
        self._open: set[BatchedEngine] = set()
        self._change = threading.Condition()
        self._arrivals = 0
        self._closed = self._gathering = False
        self._seconds = 0.0
        """A call takes, on the whole."""
        self._alone: float | None = None
        """The same of calls for one job, of those for several."""
        self._together: float | None = None
        self.calls, self.rows = 0, 0
        self._thread = threading.Thread(target=self._work, name="step-batcher", daemon=True)
        self._thread.start()

    @property
    def bundle(self) -> Bundle:
        """The model that the engine runs."""
        return self._engine.bundle

    @property
    def bank(self) -> StyleBank | None:
        """The engine's styles."""
        return self._engine.bank

    @property
    def requests(self) -> int:
        """Open now."""
        return len(self._open)

    def open(
        self, priority: int = 0, deadline: float | None = None, steps: int | None = None
    ) -> BatchedEngine:
        """A view for one request; `deadline` is a time of `time.monotonic`. Busy when full.

        Of `steps`, where it is known how many are to come, depends when it is due: short requests
        overtake long ones that have time, and those that cannot be on time any more.
        """
        wait = float("inf") if steps is None else PATIENCE * steps * self._seconds
        due = time.monotonic() + wait
        request = BatchedEngine(self, priority, deadline, due, steps or 0)
        with self._change:
            self._refuse_if_closed()
            if len(self._open) >= self._limits.requests:
                ahead = CALLS_AHEAD * len(self._open) / self._rows
                wait = max(0.5, self._seconds * ahead)
                raise Busy("queue", f"{len(self._open)} requests are being drawn", round(wait, 1))
            self._open.add(request)
        return request

    def submit(self, request: BatchedEngine, graph: str, inputs: Tensors) -> Tensors:
        """Wait for the answer to one checked step."""
        with self._change:
            self._refuse_if_closed()
            self._arrivals += 1
            job = _Job(request, graph, inputs, self._arrivals)
            self._waiting.append(job)
            self._change.notify_all()
        return job.answer.result()

    def release(self, request: BatchedEngine) -> None:
        """The request is over."""
        with self._change:
            self._open.discard(request)
            if self._gathering:
                self._change.notify_all()

    def wake(self) -> None:
        """Somebody was cancelled: look again."""
        with self._change:
            self._change.notify_all()

    def close(self) -> None:
        """Fail what waits and stop; the engine stays its owner's."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineError("batcher", "the engine is stopping")

    def _work(self) -> None:
        while jobs := self._take():
            began = time.monotonic()
            self._run(jobs)
            took = time.monotonic() - began
            self._seconds = 0.9 * self._seconds + 0.1 * took
            if len(jobs) == 1:
                self._alone = _followed(self._alone, took)
            else:
                self._together = _followed(self._together, took)
            self._gather({job.request for job in jobs}, GRACE * took)

    def _gather(self, answered: set[BatchedEngine], seconds: float) -> None:
        """Until those who were just answered ask again or have left, and no longer than this."""
        end = time.monotonic() + seconds
        with self._change:
            self._gathering = True
            while not self._closed and (left := end - time.monotonic()) > 0:
                if not (answered & self._open) - {job.request for job in self._waiting}:
                    break
                self._change.wait(left)
            self._gathering = False

    def _take(self) -> list[_Job]:
        """The most urgent job and those of its kind that fit; nothing once closed."""
        with self._change:
            while True:
                self._drop_the_dead()
                if self._waiting or self._closed:
                    break
                self._change.wait()
            if self._closed:
                for job in self._waiting:
                    job.answer.set_exception(EngineError("batcher", "the engine is stopping"))
                self._waiting.clear()
                return []
            return self._companions()

    def _companions(self) -> list[_Job]:
        now = time.monotonic()
        alone = self._seconds if self._alone is None else self._alone
        ordered = sorted(self._waiting, key=lambda job: job.order(now, alone))
        first = ordered[0]
        taken, rows, cells = [first], first.rows, first.cells
        for job in [] if self._in_haste(first.request, now) else ordered[1:]:
            fits = rows + job.rows <= self._rows and cells + job.cells <= self._limits.cells
            if job.kind == first.kind and fits:
                taken.append(job)
                rows, cells = rows + job.rows, cells + job.cells
        chosen = set(map(id, taken))
        self._waiting = [job for job in self._waiting if id(job) not in chosen]
        return taken

    def _in_haste(self, request: BatchedEngine, now: float) -> bool:
        """Whether its next call had better be for it alone."""
        if self._alone is None or self._together is None:
            return False
        return goes_alone(
            due=request.due,
            now=now,
            steps=request.left,
            alone=self._alone,
            together=self._together,
        )

    def _drop_the_dead(self) -> None:
        alive = []
        for job in self._waiting:
            try:
                job.request.check()
            except (Cancelled, DeadlineExceeded) as error:
                job.answer.set_exception(error)
            else:
                alive.append(job)
        self._waiting = alive

    def _run(self, jobs: Sequence[_Job]) -> None:
        """All in one call; where that fails each alone, so that only the guilty one fails."""
        try:
            answers = self._call(jobs)
        except Exception as error:  # the top of a worker: the callers get whatever it was
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
                return
            for job in jobs:
                self._run([job])
            return
        for job, answer in zip(jobs, answers, strict=True):
            job.answer.set_result(answer)

    def _call(self, jobs: Sequence[_Job]) -> list[Tensors]:
        names = jobs[0].inputs
        joined = {name: np.concatenate([job.inputs[name] for job in jobs]) for name in names}
        outputs = self._engine.run(jobs[0].graph, joined)
        self.calls, self.rows = self.calls + 1, self.rows + sum(job.rows for job in jobs)
        cuts = np.cumsum([job.rows for job in jobs])[:-1]
        parts = {name: np.split(value, cuts) for name, value in outputs.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(jobs))]


def _followed(known: float | None, seconds: float) -> float:
    """What such calls have taken lately."""
    return seconds if known is None else 0.9 * known + 0.1 * seconds
