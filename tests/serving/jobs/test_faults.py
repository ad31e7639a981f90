"""What is killed, frozen or poisoned changes nothing of what was accepted."""

import os
import signal
import sqlite3
import sys
import time
from collections import Counter

import pytest

from luciole.domain.job import JobState
from serving.jobs.leases import frozen
from serving.jobs.supervisor import Program, Supervisor
from serving.storage.tables import BillingOutboxRow, ExecutorLeaseRow, JobRow
from tests.serving.freezing import freeze
from tests.serving.jobs.conftest import LIMITS, Site, plan


def test_a_worker_killed_in_a_frame_is_followed_by_another_that_goes_on_there(site: Site) -> None:
    workers = {process.pid: process for process in (site.start(), site.start())}
    job = site.draw(plan(0), plan(1), plan(2, "slow", steps=8), plan(3))
    site.until(lambda: len(site.begun()) == 3)
    first = int(site.begun()[-1][2])
    os.kill(first, signal.SIGKILL)
    ended = site.ended(job)
    assert ended.state == JobState.SUCCEEDED
    begun = Counter(seed for _, seed, _ in site.begun())
    assert begun == {"0": 1, "1": 1, "2": 2, "3": 1}
    assert {int(pid) for _, seed, pid in site.begun()[3:]} == set(workers) - {first}
    assert [row.units for row in site.rows(BillingOutboxRow)] == [pytest.approx(ended.cost)]
    kinds = Counter(event.type for event in site.events(job))
    assert kinds == {"job.state": 3, "job.frame": 4}


def freeze_between_transactions(site: Site, pid: int) -> None:
    """One that is frozen with SQLite's lock is its supervisor's to end."""
    freeze(pid)
    with sqlite3.connect(site.folder / "service.db", timeout=0.05) as raw:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
            return freeze_between_transactions(site, pid)
    return None


def test_a_worker_frozen_past_its_lease_writes_nothing_when_it_thaws(site: Site) -> None:
    workers = {process.pid: process for process in (site.start(), site.start())}
    job = site.draw(plan(0, "slow", steps=8), plan(1))
    site.until(site.begun)
    sleeper = int(site.begun()[0][2])
    freeze_between_transactions(site, sleeper)
    ended = site.ended(job)
    assert ended.state == JobState.SUCCEEDED
    before = site.events(job)
    os.kill(sleeper, signal.SIGCONT)
    assert workers[sleeper].wait(20) == 70
    assert site.job(job) == ended
    assert site.events(job) == before
    assert len(site.rows(BillingOutboxRow)) == 1
    leases = {row.pid: row.reaped_at for row in site.rows(ExecutorLeaseRow)}
    assert leases[sleeper] is not None


def supervised(site: Site, names: list[str], **limits: float) -> Supervisor:
    programs = [Program(name, site.command(**limits), {"PYTHONPATH": "."}) for name in names]
    return Supervisor(programs, lambda: frozen(site.database))


def test_a_job_that_crashes_its_worker_each_time_is_poisoned_and_spares_its_neighbour(
    site: Site,
) -> None:
    poison, good = site.draw(plan(0, "crash")), site.draw(plan(1, "slow", steps=12))
    with supervised(site, ["worker"], tries=2, house=0.2, lease=1.0) as supervisor:
        ended = site.ended(poison)
        assert site.ended(good).state == JobState.SUCCEEDED
        assert supervisor.restarts >= 2
    assert ended.state == JobState.FAILED
    assert ended.failure is not None
    assert ended.failure.code == "poisoned"
    assert [row.job for row in site.rows(BillingOutboxRow)] == [good]
    assert Counter(prompt for prompt, _, _ in site.begun())["crash"] == 2


def test_a_supervisor_ends_a_frozen_worker_and_starts_another(site: Site) -> None:
    with supervised(site, ["worker"], lease=2.0) as supervisor:
        site.until(lambda: site.rows(ExecutorLeaseRow))
        sleeper = supervisor.processes["worker"]
        freeze(sleeper)
        job = site.draw(plan())
        assert site.ended(job).state == JobState.SUCCEEDED
        assert supervisor.processes["worker"] != sleeper
    assert not supervisor.restarts > 1


def test_a_program_that_cannot_live_is_started_again_ever_later() -> None:
    with Supervisor([Program("short", [sys.executable, "-c", "1"])]) as supervisor:
        time.sleep(2.5)
    assert 1 <= supervisor.restarts <= 5


def test_a_full_disk_stops_a_job_only_while_it_is_full(small_site: Site) -> None:
    site = small_site
    site.start()
    job = site.draw(plan(0), plan(1, "slow", steps=10), plan(2))
    site.until(lambda: len(site.begun()) == 2)
    ballast = site.fill()
    time.sleep(3)
    assert site.rows(JobRow)[0].ended_at is None
    ballast.unlink()
    site.start()
    ended = site.ended(job)
    assert ended.state == JobState.SUCCEEDED
    assert [row.units for row in site.rows(BillingOutboxRow)] == [ended.units]
    assert LIMITS["lease"] < 3
