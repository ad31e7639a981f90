"""The life of a worker's process: a lease, a place at the queue, and the looking after both."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from dbos import DBOS
from sqlalchemy import Engine

from serving.jobs import durable
from serving.jobs.errors import Fenced
from serving.jobs.fence import FencedDatabase, give_up
from serving.jobs.leases import Lease, reap
from serving.jobs.reconciling import forget_old_keys, reconcile
from serving.jobs.worker import Studio, Worker
from serving.stopping import StopSignals
from serving.storage.assets import sweep
from serving.storage.database import READING
from serving.storage.errors import StorageFull, StorageUnavailable
from serving.storage.objects import Objects
from serving.storage.writing import storage_errors

TIDY = 3600.0
"""Seconds between two clearings of old keys and files."""
log = structlog.get_logger()


@dataclass(frozen=True)
class WorkerLimits:
    """Times in seconds."""

    at_once: int = 2
    """Jobs that one worker draws together."""
    lease: float = 15.0
    """After so long without a sign of life a worker's jobs go to others."""
    poll: float = 0.1
    """Between two looks at the queue, and at what was canceled."""
    house: float = 2.0
    """Between two looks for dead workers and for jobs that were left open."""
    tries: int = 5
    """At a frame that brings the worker down, before its job is poisoned."""
    orphans: timedelta = timedelta(days=1)
    """The least age of files that are removed because nothing refers to them."""
    grace: int = 10
    """For the frames in hand when the worker is told to end."""


def run_worker(url: str, database: Engine, studio: Studio, limits: WorkerLimits) -> None:
    """Draw jobs until SIGTERM or SIGINT; a lost lease ends the process at once."""
    lease = Lease(database, limits.lease)
    lease.take()
    worker = Worker(studio, FencedDatabase(database, lease), limits.tries)
    _join(url, worker, lease, limits)
    log.info("a worker is ready", executor=lease.executor)
    signals, stopping = StopSignals(), threading.Event()
    house = _House(database, lease, studio.objects, limits.orphans)
    keeping = [
        _every(limits.lease / 3, stopping, lambda: _renew(lease)),
        _every(limits.poll, stopping, lambda: _look(worker, database)),
        _every(limits.house, stopping, house.keep),
    ]
    signals.wait()
    stopping.set()
    DBOS.destroy(workflow_completion_timeout_sec=limits.grace)
    for thread in keeping:
        thread.join()
    lease.give_back()


def _join(url: str, worker: Worker, lease: Lease, limits: WorkerLimits) -> None:
    """Register the workflow, then begin to take jobs."""
    durable.quieten()
    DBOS(config=durable.config(url, lease.executor, limits.at_once + 2))
    DBOS.workflow(name=durable.WORKFLOW, max_recovery_attempts=None)(_workflow(worker))
    DBOS.listen_queues([durable.QUEUE])
    DBOS.launch()
    DBOS.register_queue(
        durable.QUEUE,
        worker_concurrency=limits.at_once,
        # Any limit of a partition makes the queue one line per tenant.
        partition_worker_concurrency=limits.at_once,
        polling_interval_sec=limits.poll,
        on_conflict="always_update",
    )


def _workflow(worker: Worker) -> Callable[[str], None]:
    def draw(job: str) -> None:
        worker.work(job)

    return draw


def _renew(lease: Lease) -> None:
    try:
        lease.renew()
    except Fenced as error:
        give_up(str(error))


def _look(worker: Worker, database: Engine) -> None:
    if worker.hand:
        with database.connect() as connection:
            worker.hand.look(connection.execution_options(**READING))


class _House:
    """Looks for dead workers and open jobs; tidies up now and then."""

    def __init__(
        self, database: Engine, lease: Lease, objects: Objects, orphans: timedelta
    ) -> None:
        self._database, self._lease = database, lease
        self._objects, self._orphans = objects, orphans
        self._tidying = min(orphans.total_seconds() / 2, TIDY)
        self._looked = self._tidied = time.monotonic()
        self._judging = 0.0

    def keep(self) -> None:
        """One pass. After an outage everybody may first give a sign of life."""
        before, self._looked = self._looked, time.monotonic()
        lasts = self._lease.lasts.total_seconds()
        _renew(self._lease)
        if self._looked - before > lasts:
            self._judging = self._looked + lasts
        if self._looked >= self._judging and (dead := reap(self._database)):
            log.warning("workers died", executors=dead)
        if ended := reconcile(self._database):
            log.warning("jobs were ended", jobs=ended)
        if self._looked - self._tidied > self._tidying:
            self._tidied = self._looked
            self._tidy()

    def _tidy(self) -> None:
        forget_old_keys(self._database)
        if removed := sweep(self._database, self._objects, self._orphans):
            log.info("files were removed", count=len(removed))


def _every(seconds: float, stopping: threading.Event, act: Callable[[], None]) -> threading.Thread:
    def loop() -> None:
        while not stopping.wait(seconds):
            try:
                with storage_errors():
                    act()
            except (StorageFull, StorageUnavailable) as error:
                log.warning("will be tried again", cause=error.code)
            except Exception as error:  # the top of a thread that the worker cannot be without
                log.exception("unforeseen")
                give_up(f"{type(error).__name__} in {act}")

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread
