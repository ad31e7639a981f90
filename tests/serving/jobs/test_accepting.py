"""Accepting a job and looking at it, without any worker."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from typing import Any

import pytest

from luciole.domain.job import JobState
from serving.jobs.errors import JobNotFound, KeyReused
from serving.jobs.work import NewJob, render
from serving.storage.errors import StorageFull
from serving.storage.tables import BillingOutboxRow, IdempotencyRow, JobRow, WebhookOutboxRow
from tests.serving.jobs.conftest import Site, plan

ACCEPTOR = """
import asyncio, sys
from tests.serving.jobs.conftest import Site, plan
from serving.jobs.work import Idempotency, render
from serving.storage.database import open_database
from pathlib import Path

async def accept(jobs):
    for n in range(1000):
        await jobs.accept(render("ada", [plan(n)]), Idempotency(f"key-{n}", "body"))
        print(n, flush=True)

url, folder = sys.argv[1:]
Site(url, Path(folder), open_database(url), None).run(accept)
"""


def test_a_job_is_accepted_with_its_cost_and_its_place_in_the_queue(site: Site) -> None:
    accepted = site.accept(render("ada", [plan(1, steps=5), plan(2, steps=7)], project="p"))
    job = accepted.job
    assert (job.state, job.total, job.project) == (JobState.QUEUED, 2, "p")
    assert job.cost == pytest.approx(12 * 100 * 100 / 1e6)
    assert not accepted.again
    [event] = site.events(job.id)
    assert (event.type, event.data["state"]) == ("job.state", "queued")
    with sqlite3.connect(site.folder / "service.db") as raw:
        status = raw.execute("SELECT workflow_uuid, status, serialization FROM workflow_status")
        assert status.fetchall() == [(job.id, "ENQUEUED", "portable_json")]


def test_the_same_key_brings_the_same_job_and_another_body_is_refused(site: Site) -> None:
    new = render("ada", [plan()])
    first, again = site.accept(new, key="k"), site.accept(new, key="k")
    assert again.again
    assert again.job == first.job
    with pytest.raises(KeyReused, match="another body"):
        site.accept(new, key="k", body="another")
    theirs = site.accept(render("bob", [plan()]), key="k")
    assert not theirs.again
    assert len(site.rows(JobRow)) == 2


def test_what_cannot_be_queued_leaves_nothing_behind(site: Site) -> None:
    unqueueable = render("ada", [plan()], priority=-1)
    with pytest.raises(Exception, match="priority"):
        site.accept(unqueueable, key="k")
    assert site.rows(JobRow) == site.rows(IdempotencyRow) == []


def test_an_api_killed_at_any_moment_has_accepted_all_of_a_job_or_nothing(site: Site) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ACCEPTOR, site.url, str(site.folder)],
        env=os.environ | {"PYTHONPATH": "."},
        stdout=subprocess.PIPE,
    ) as accepting:
        assert accepting.stdout is not None
        for line in accepting.stdout:
            if int(line) == 7:
                break
        time.sleep(0.004)
        accepting.send_signal(signal.SIGKILL)
        answered = 8 + len(accepting.stdout.read().split())
    jobs, keys = site.rows(JobRow), site.rows(IdempotencyRow)
    assert len(jobs) == len(keys) >= answered
    with sqlite3.connect(site.folder / "service.db") as raw:
        queued = {row[0] for row in raw.execute("SELECT workflow_uuid FROM workflow_status")}
    assert queued == {job.id for job in jobs}
    after = site.accept(render("ada", [plan(7)]), key="key-7", body="body")
    assert after.again
    assert after.job.id in queued


def test_a_queued_job_is_canceled_at_once_and_costs_nothing(site: Site) -> None:
    job = site.draw(plan())
    canceled = site.run(lambda jobs: jobs.cancel("ada", job))
    assert (canceled.state, canceled.units) == (JobState.CANCELED, 0.0)
    assert site.run(lambda jobs: jobs.cancel("ada", job)) == canceled
    assert [event.data["state"] for event in site.events(job)] == ["queued", "canceled"]
    assert site.rows(BillingOutboxRow) == site.rows(WebhookOutboxRow) == []


@pytest.mark.parametrize("method", ["get", "frames", "cancel"])
def test_a_job_of_another_tenant_is_not_there(site: Site, method: str) -> None:
    job = site.draw(plan())
    with pytest.raises(JobNotFound):
        site.run(lambda jobs: getattr(jobs, method)("bob", job))
    assert site.events(job, tenant="bob") == []
    assert site.run(lambda jobs: jobs.listed("bob")) == []


def test_pages_of_jobs_hold_each_job_once_the_newest_first(site: Site) -> None:
    made = [site.draw(plan(n), project="even" if n % 2 == 0 else "odd") for n in range(5)]

    async def pages(jobs: Any) -> list[list[str]]:
        first = await jobs.listed("ada", limit=3)
        second = await jobs.listed("ada", before=first[-1], limit=3)
        even = await jobs.listed("ada", project="even", states=[JobState.QUEUED])
        return [[job.id for job in page] for page in (first, second, even)]

    first, second, even = site.run(pages)
    assert first + second == made[::-1]
    assert even == made[::-2]


def test_a_follower_hears_of_an_event_within_milliseconds(site: Site) -> None:
    async def follow(jobs: Any, tenant: str) -> tuple[list[str], float]:
        async def listen() -> tuple[list[str], float]:
            async for batch in jobs.follow(tenant, 0):
                if batch:
                    return [event.type for event in batch], time.monotonic()
            raise AssertionError

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.3)
        await jobs.accept(render(tenant, [plan()]))
        accepted = time.monotonic()
        heard, when = await listening
        return heard, when - accepted

    told = [site.run(lambda jobs, who=who: follow(jobs, who)) for who in ("ada", "bob")]
    assert [heard for heard, _ in told] == [["job.state"]] * 2
    assert min(late for _, late in told) < 0.5


def test_a_full_disk_refuses_and_takes_again_when_there_is_room(small_site: Site) -> None:
    ballast = small_site.fill()
    big = NewJob("ada", "render", {"plans": [], "fill": "x" * 200_000}, 1, 1.0)
    with pytest.raises(StorageFull, match="no room"):
        small_site.accept(big, key="k")
    ballast.unlink()
    assert small_site.rows(JobRow) == small_site.rows(IdempotencyRow) == []
    assert not small_site.accept(big, key="k").again
    assert len(small_site.rows(JobRow)) == 1
