"""The same promises on Postgres, and what only it can suffer: a restart under way."""

import asyncio
import os
import signal
import time
from collections import Counter
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from evals.bench.postgres import Postgres
from luciole.domain.job import JobState
from serving.jobs.work import Idempotency, render
from serving.storage.errors import StorageUnavailable
from serving.storage.tables import BillingOutboxRow, JobEventRow, JobRow, Row
from tests.serving.jobs.conftest import Site, plan


def test_the_migrations_lead_to_the_tables_of_the_code(postgres_site: Site) -> None:
    with postgres_site.database.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Row.metadata) == []


def test_accepting_is_one_transaction_here_too(postgres_site: Site) -> None:
    site = postgres_site
    with pytest.raises(Exception, match="priority"):
        site.accept(render("ada", [plan()], priority=-1), key="k")
    assert site.rows(JobRow) == []
    first, again = (site.accept(render("ada", [plan()]), key="k") for _ in range(2))
    assert (first.again, again.again) == (False, True)
    assert first.job.id == again.job.id


def test_one_key_from_many_callers_at_once_makes_one_job(postgres_site: Site) -> None:
    async def rush(jobs: Any) -> set[str]:
        new, key = render("ada", [plan()]), Idempotency("k", "b")
        accepted = await asyncio.gather(*(jobs.accept(new, key) for _ in range(10)))
        return {one.job.id for one in accepted}

    assert len(postgres_site.run(rush)) == 1
    assert len(postgres_site.rows(JobRow)) == 1


def test_whoever_follows_the_numbers_misses_no_event(postgres_site: Site) -> None:
    async def follow(jobs: Any) -> list[int]:
        seen: list[int] = []

        async def listen() -> None:
            async for batch in jobs.follow("ada", 0):
                seen.extend(event.seq for event in batch)
                if len(seen) >= 60:
                    return

        listening = asyncio.create_task(listen())
        await asyncio.gather(*(jobs.accept(render("ada", [plan(n)])) for n in range(60)))
        await asyncio.wait_for(listening, 30)
        return seen

    seen = postgres_site.run(follow)
    assert seen == sorted(row.seq for row in postgres_site.rows(JobEventRow))


def test_a_killed_worker_and_a_restarted_server_lose_nothing(
    postgres_site: Site, postgres: Postgres
) -> None:
    site = postgres_site
    site.start(), site.start()
    job = site.draw(plan(0), plan(1, "slow", steps=10), plan(2, "slow", steps=10), plan(3))
    site.until(lambda: len(site.begun()) == 2)
    os.kill(int(site.begun()[-1][2]), signal.SIGKILL)
    site.until(lambda: len(site.begun()) == 4)
    postgres.stop()
    with pytest.raises(StorageUnavailable):
        site.accept(render("ada", [plan(9)]))
    assert len(site.begun()) == 4
    time.sleep(1)
    postgres.start()
    site.start()
    ended = site.ended(job)
    assert ended.state == JobState.SUCCEEDED
    assert [row.units for row in site.rows(BillingOutboxRow)] == [pytest.approx(ended.cost)]
    kinds = Counter(event.type for event in site.events(job))
    assert kinds == {"job.state": 3, "job.frame": 4}
