"""A worker: takes jobs from the queue and draws them, frame by frame, as durable steps."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from dbos import DBOS
from sqlalchemy import Row

from luciole.domain import Cancelled, DeadlineExceeded, LucioleError, RenderPlan
from luciole.domain.job import Failure, JobState
from serving.jobs import running
from serving.jobs.artist import Artist, Pixels, Watch, draw_patiently
from serving.jobs.ending import Ending, end
from serving.jobs.fence import FencedDatabase, give_up, patiently
from serving.jobs.hand import Hand
from serving.jobs.turns import Turns
from serving.jobs.work import Kind
from serving.storage.columns import now
from serving.storage.objects import Objects

TELL = 0.25
"""Seconds between two progress events of a job."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Encoded:
    """A picture's file."""

    content: bytes
    mime: str
    extension: str


@dataclass(frozen=True)
class Studio:
    """What workers work with."""

    artist: Artist
    encode: Callable[[Pixels, RenderPlan], Encoded]
    objects: Objects
    kinds: Mapping[str, Kind]


class Worker:
    """Crash-only: what it cannot explain ends the process, and another goes on from there."""

    def __init__(self, studio: Studio, database: FencedDatabase, tries: int) -> None:
        self._studio, self._database, self._tries = studio, database, tries
        self._turns = Turns()
        self.hand = Hand()

    def work(self, job: str) -> None:
        """The durable workflow: a frame that was recorded is never drawn again."""
        try:
            total = DBOS.run_step({"name": "begin"}, self._begin, job)
            for k in range(total):
                if DBOS.run_step({"name": "frame"}, self._frame, job, k) is None:
                    return
            DBOS.run_step({"name": "end"}, self._end, job, Ending(JobState.SUCCEEDED))
        except Exception as error:  # the top of the worker
            log.exception("unforeseen", job=job)
            give_up(f"{type(error).__name__} in {job}")

    def _begin(self, job: str) -> int:
        row = self._database.write(running.begin, job)
        return 0 if row is None else int(row.total)

    def _end(self, job: str, ending: Ending) -> None:
        self._database.write(end, job, ending)

    def _frame(self, job: str, k: int) -> str | None:
        """Draw a frame and record it; None once the job has ended."""
        row = self._database.write(running.row_of, job)
        if row is None:
            return None
        suspect = row.attempts > 0
        with self._turns.turn(suspect), self.hand.holding(job, row.cancel_requested):
            tries = self._database.write(running.attempt, job)
            if tries is None:
                return None
            if tries > self._tries:
                words = f"frame {k} brought down its worker {self._tries} times"
                self._end(job, _failed("poisoned", words))
                return None
            return self._attempt(row, k)

    def _attempt(self, row: Row[Any], k: int) -> str | None:
        before = self._database.write(running.frames_drawn, row.id)
        left = (row.deadline_at - now()).total_seconds()
        canceled, tell = (lambda: self.hand.canceled(row.id)), self._teller(row, k)
        watch = Watch(time.monotonic() + left, canceled, tell)
        try:
            plan = self._studio.kinds[row.kind].plan(row.params, k, before)
            watch.size = plan.width * plan.height / 1e6
            watch.check()
            pixels = draw_patiently(self._studio.artist, plan, watch)
        except Exception as error:  # a fault in one job must not take the others down
            self._end(row.id, _ending(error, watch))
            return None
        picture = self._kept(pixels, plan)
        recorded = self._database.write(running.drawn, row.id, k, plan, picture)
        return picture.sha256 if recorded else None

    def _kept(self, pixels: Pixels, plan: RenderPlan) -> running.Picture:
        """Encode and store; the file is there before any row names it."""
        file = self._studio.encode(pixels, plan)
        height, width = pixels.shape[:2]
        put = self._studio.objects.put
        sha256 = patiently(lambda: put(file.content, file.extension, file.mime))
        size = len(file.content)
        return running.Picture(sha256, size, file.mime, file.extension, width, height)

    def _teller(self, row: Row[Any], k: int) -> Callable[[int, int], None]:
        began, told = time.monotonic(), -TELL

        def tell(step: int, steps: int) -> None:
            nonlocal told
            since = time.monotonic() - began
            if since - told < TELL and step < steps:
                return
            told = since
            eta = round(since / step * (steps - step), 2) if step else None
            said = (row.id, row.tenant, k, step, steps, eta)
            self._database.write_if_easy(running.progress, *said)

        return tell


def _failed(code: str, message: str) -> Ending:
    return Ending(JobState.FAILED, Failure(code=code, message=message))


def _ending(error: Exception, watch: Watch) -> Ending:
    """What becomes of a job whose frame could not be drawn."""
    if isinstance(error, Cancelled):
        return Ending(JobState.CANCELED, unfinished=watch.spent)
    if isinstance(error, DeadlineExceeded):
        return Ending(JobState.EXPIRED, Failure(code=error.code, message=str(error)))
    if isinstance(error, LucioleError):
        return _failed(error.code, str(error))
    log.error("unforeseen", kind=type(error).__name__, exc_info=error)
    return _failed("internal", "something broke on our side")
