"""A worker: takes jobs from the queue and draws them, frame by frame, as durable steps."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
from dbos import DBOS
from sqlalchemy import Connection, Row

from luciole.domain import Cancelled, DeadlineExceeded, LucioleError, RenderPlan
from luciole.domain.job import Failure, JobState
from serving.jobs import previews, running
from serving.jobs.artist import Artist, Easel, Pixels, Show, Watch
from serving.jobs.ending import Ending, end
from serving.jobs.fence import FencedDatabase, give_up, patiently
from serving.jobs.hand import Hand
from serving.jobs.previews import Preview
from serving.jobs.turns import Turns
from serving.jobs.work import Kind, MadeFile, Sketch
from serving.orchestration.errors import PolicyRefusal, ServiceAway
from serving.storage.columns import now
from serving.storage.objects import Objects

R = TypeVar("R")
TELL = 0.25
"""Seconds between two progress events of a job."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Encoded:
    """A picture's file."""

    content: bytes
    mime: str
    extension: str


class Seal(Protocol):
    """Signs what is put together of pictures, each time in other bytes."""

    def takes(self, mime: str) -> bool:
        """Whether files of this media type can be signed."""
        ...

    def mark(self, content: bytes) -> str:
        """A name for what is to be signed, the same for the same bytes and the same signer."""
        ...

    def composed(self, content: bytes, mime: str) -> bytes:
        """The file, signed."""
        ...


@dataclass(frozen=True)
class Studio:
    """What workers work with."""

    artist: Artist
    encode: Callable[[Pixels, RenderPlan], Encoded]
    objects: Objects
    kinds: Mapping[str, Kind]
    seal: Seal | None = None
    """None where pictures are not signed."""


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
            DBOS.run_step({"name": "end"}, self._succeed, job)
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
        return self._tried(job, f"frame {k}", lambda row: self._attempt(row, k))

    def _succeed(self, job: str) -> None:
        """Make what the frames come to, and end the job well."""
        self._tried(job, "its last part", self._finish)

    def _tried(self, job: str, what: str, act: Callable[[Row[Any]], R]) -> R | None:
        """Do a part of a job unless it has ended, or brings workers down again and again."""
        row = self._database.write(running.row_of, job)
        if row is None:
            return None
        suspect = row.attempts > 0
        with self._turns.turn(suspect), self.hand.holding(job, row.cancel_requested):
            tries = self._database.write(running.attempt, job)
            if tries is None:
                return None
            if tries > self._tries:
                words = f"{what} brought down its worker {self._tries} times"
                self._end(job, _failed("poisoned", words))
                return None
            return act(row)

    def _attempt(self, row: Row[Any], k: int) -> str | None:
        before = self._database.write(running.frames_drawn, row.id)
        left = (row.deadline_at - now()).total_seconds()
        canceled, tell = (lambda: self.hand.canceled(row.id)), self._teller(row, k)
        watch = Watch(time.monotonic() + left, canceled, tell, show=self._shower(row, k))
        kind = self._studio.kinds[row.kind]
        try:
            plan = kind.plan(row.params, k, before)
            watch.size = plan.width * plan.height / 1e6
            watch.check()
            sketch = kind.draw(row.params, k, plan, Easel(self._studio.artist, watch))
        except Exception as error:  # a fault in one job must not take the others down
            self._end(row.id, _ending(error, watch))
            return None
        picture = self._kept(sketch)

        def note(connection: Connection, job: Row[Any], k: int, sha256: str) -> None:
            kind.note(connection, job, k, sha256, sketch.notes)

        recorded = self._database.write(running.drawn, row.id, k, sketch.plan, picture, note)
        return picture.sha256 if recorded else None

    def _finish(self, row: Row[Any]) -> None:
        try:
            made = patiently(lambda: self._studio.kinds[row.kind].files(row.params))
        except Exception as error:  # as above
            self._end(row.id, _failed_by(error))
            return
        files = {one.name: self._filed(row, one) for one in made}
        self._database.write(running.succeeded, row.id, files)

    def _filed(self, row: Row[Any], made: MadeFile) -> running.Filed:
        """Signed where it must be; what the tenant has signed already is taken as it is."""
        seal, content, mark = self._studio.seal, made.content, None
        if made.composed and seal is not None and seal.takes(made.mime):
            mark = seal.mark(made.content)
            known = self._database.write(running.signed, row.tenant, mark)
            if known is not None:
                return running.Filed(known, mark)
            content = seal.composed(made.content, made.mime)
        width, height = made.width, made.height
        return running.Filed(self._stored(content, made.mime, made.extension, width, height), mark)

    def _kept(self, sketch: Sketch) -> running.Stored:
        """Encode and store; the file is there before any row names it."""
        file = self._studio.encode(sketch.pixels, sketch.plan)
        height, width = sketch.pixels.shape[:2]
        return self._stored(file.content, file.mime, file.extension, width, height)

    def _stored(
        self, content: bytes, mime: str, extension: str, width: int | None, height: int | None
    ) -> running.Stored:
        put = self._studio.objects.put
        sha256 = patiently(lambda: put(content, extension, mime))
        return running.Stored(sha256, len(content), mime, extension, width, height)

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

    def _shower(self, row: Row[Any], k: int) -> Show:
        """Keeps previews while somebody of the tenant looks."""
        last = -previews.PAUSE

        def show(step: int, steps: int, now: Callable[[], Pixels]) -> None:
            nonlocal last
            if row.tenant not in self.hand.watched or step % previews.EVERY or step == steps:
                return
            if time.monotonic() - last < previews.PAUSE:
                return
            last = time.monotonic()
            try:
                pixels = now()
            except (PolicyRefusal, ServiceAway):
                return  # the picture is judged when it is done; this look is not shown
            height, width = pixels.shape[:2]
            seen = Preview(row.id, k, step, width, height, previews.small(pixels))
            self._database.write_if_easy(previews.keep, row.tenant, seen)

        return show


def _failed(code: str, message: str) -> Ending:
    return Ending(JobState.FAILED, Failure(code=code, message=message))


def _ending(error: Exception, watch: Watch) -> Ending:
    """What becomes of a job whose frame could not be drawn."""
    if isinstance(error, Cancelled):
        return Ending(JobState.CANCELED, unfinished=watch.spent)
    if isinstance(error, DeadlineExceeded):
        return Ending(JobState.EXPIRED, Failure(code=error.code, message=str(error)))
    return _failed_by(error)


def _failed_by(error: Exception) -> Ending:
    if isinstance(error, LucioleError):
        return _failed(error.code, str(error))
    log.error("unforeseen", kind=type(error).__name__, exc_info=error)
    return _failed("internal", "something broke on our side")
