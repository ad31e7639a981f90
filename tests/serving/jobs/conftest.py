"""A database, an object store and real worker processes over an engine that pretends."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine, insert, select

from evals.bench.postgres import Postgres, programs, serving
from luciole.domain import RenderPlan, SolverName
from luciole.domain.job import Job, JobEvent
from serving.jobs import durable, records
from serving.jobs.accepting import Accepted
from serving.jobs.feed import feeding
from serving.jobs.ledger import Jobs, SqlJobs
from serving.jobs.work import Idempotency, NewJob, render
from serving.storage.columns import new_id
from serving.storage.database import READING, open_database, open_database_async
from serving.storage.migrate import migrate
from serving.storage.tables import TenantRow
from tests.serving.jobs.zygote import Forked, Zygote

R = TypeVar("R")
PROGRAM = Path(__file__).with_name("stub_worker.py")
LIMITS = {"lease": 1.5, "poll": 0.05, "house": 0.3, "tries": 3, "grace": 2}


def plan(seed: int = 0, prompt: str = "a", steps: int = 5, side: int = 100) -> RenderPlan:
    return RenderPlan(
        prompt=prompt, width=side, height=side, steps=steps, guidance_scale=1, seed=seed,
        solver=SolverName.EULER,
    )  # fmt: skip


@dataclass
class Site:
    """Everything that outlives a worker, and the workers that were started on it."""

    url: str
    folder: Path
    database: Engine
    zygote: Zygote
    processes: list[Forked | subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def command(self, **limits: float) -> list[str]:
        """What runs a worker."""
        said = json.dumps(LIMITS | limits)
        places = [self.url, str(self.folder / "objects"), str(self.notes), said]
        return [sys.executable, str(PROGRAM), *places]

    def start(self, **limits: float) -> Forked:
        """A worker process; it may not be ready yet."""
        words = self.command(**limits)[2:]
        process = self.zygote.start("worker", *words, log=self.folder / "log")
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        self.processes.clear()

    def begun(self) -> list[list[str]]:
        """[prompt, seed, process id] of every frame that any worker began."""
        return [line.split() for line in self.notes.read_text().splitlines()]

    def run(self, act: Callable[[Jobs], Awaitable[R]]) -> R:
        """What `act` makes of the jobs, in an event loop of its own."""
        return asyncio.run(self._run(act))

    async def _run(self, act: Callable[[Jobs], Awaitable[R]]) -> R:
        database, client = open_database_async(self.url), durable.client(self.url)
        try:
            async with feeding(self.url) as feed:
                return await act(SqlJobs(database, client, feed))
        finally:
            client.destroy()
            await database.dispose()

    def fill(self) -> Path:
        """Leave no room on the disk; returns the file to remove."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        return ballast

    def accept(self, new: NewJob, key: str | None = None, body: str = "b") -> Accepted:
        idempotency = None if key is None else Idempotency(key, body)
        return self.run(lambda jobs: jobs.accept(new, idempotency))

    def draw(self, *plans: RenderPlan, tenant: str = "ada", **more: Any) -> str:
        """Accept a job; returns its id."""
        return self.accept(render(tenant, plans, **more)).job.id

    def job(self, job: str, tenant: str = "ada") -> Job:
        with self.database.connect() as connection:
            return records.find(connection.execution_options(**READING), tenant, job)

    def events(self, job: str, tenant: str = "ada") -> list[JobEvent]:
        return self.run(lambda jobs: jobs.events(tenant, job=job))

    def rows(self, table: Any) -> list[Any]:
        with self.database.connect() as connection:
            return list(connection.execute(select(table)))

    def until(self, true: Callable[[], Any], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.03)

    def ended(self, job: str, tenant: str = "ada", seconds: float = 60) -> Job:
        """The job, once it has ended."""
        self.until(lambda: self.job(job, tenant).state.ended, seconds)
        return self.job(job, tenant)


def prepare(url: str) -> None:
    """Every table, and two tenants."""
    database = open_database(url)
    migrate(database)
    durable.migrate_durable(url)
    with database.begin() as connection:
        connection.execute(insert(TenantRow), [
            {"id": "ada", "name": "Ada", "stripe_customer": "cus_ada"},
            {"id": "bob", "name": "Bob", "stripe_customer": None},
        ])  # fmt: skip
    database.dispose()


@contextlib.contextmanager
def opened(url: str, folder: Path, zygote: Zygote) -> Iterator[Site]:
    made = Site(url, folder, open_database(url), zygote)
    made.notes.touch()
    yield made
    made.stop()
    made.database.dispose()


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Forks workers, gateways and senders."""
    with Zygote() as made:
        yield made


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared SQLite file to copy."""
    file = tmp_path_factory.mktemp("prepared") / "service.db"
    prepare(f"sqlite:///{file}")
    return file


@pytest.fixture
def site(prepared: Path, zygote: Zygote, tmp_path: Path) -> Iterator[Site]:
    """SQLite and a folder."""
    shutil.copy(prepared, tmp_path)
    with opened(f"sqlite:///{tmp_path}/service.db", tmp_path, zygote) as made:
        yield made


@pytest.fixture(scope="module")
def staffed(
    prepared: Path, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The same with a worker, for tests that leave it alive."""
    folder = tmp_path_factory.mktemp("staffed")
    shutil.copy(prepared, folder)
    with opened(f"sqlite:///{folder}/service.db", folder, zygote) as made:
        made.start()
        yield made


@pytest.fixture
def small_site(prepared: Path, zygote: Zygote, tmp_path: Path) -> Iterator[Site]:
    """The same on a disk of 4 MB."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path]).returncode:
        pytest.skip("mounting a small disk needs the right to mount (CAP_SYS_ADMIN)")
    shutil.copy(prepared, tmp_path)
    with opened(f"sqlite:///{tmp_path}/service.db", tmp_path, zygote) as made:
        yield made
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running server; skipped where it is not installed."""
    found = programs()
    if found is None:
        pytest.skip("Postgres is not installed (Debian: apt-get install postgresql)")
    with serving(found) as server:
        yield server


@pytest.fixture
def postgres_site(postgres: Postgres, zygote: Zygote, tmp_path: Path) -> Iterator[Site]:
    """A database of its own and a folder."""
    url = postgres.database(new_id("test"))
    prepare(url)
    with opened(url, tmp_path, zygote) as made:
        yield made
