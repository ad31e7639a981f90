"""Workers that live: what they draw, bill, refuse and leave."""

import random
import signal
import sqlite3
import time

import pytest

from luciole.domain import LatentReference, RenderPlan
from luciole.domain.job import JobState
from serving.jobs.work import chain
from serving.storage.objects import open_objects
from serving.storage.tables import (
    AssetRefRow,
    AssetRow,
    BillingOutboxRow,
    ExecutorLeaseRow,
    JobFrameRow,
)
from tests.serving.jobs.conftest import Site, plan


def bills(site: Site, job: str) -> list[float]:
    return [row.units for row in site.rows(BillingOutboxRow) if row.job == job]


def test_frames_become_assets_events_and_one_bill(staffed: Site) -> None:
    job = staffed.draw(plan(1, steps=5), plan(2, steps=10))
    ended = staffed.ended(job)
    assert ended.state == JobState.SUCCEEDED
    assert bills(staffed, job) == [pytest.approx(15 * 0.01)] == [ended.units]
    first, second = staffed.run(lambda jobs: jobs.frames("ada", job))
    assert (first.k, second.k, first.width) == (0, 1, 100)
    assert second.plan == plan(2, steps=10)
    file = open_objects(f"file://{staffed.folder}/objects").get(first.sha256, "png")
    assert file is not None
    assert file.startswith(b"\x89PNG")
    refs = {(row.sha256, row.tenant, row.owner) for row in staffed.rows(AssetRefRow)}
    assert {(first.sha256, "ada", job), (second.sha256, "ada", job)} <= refs
    said = [(event.type, event.data.get("state")) for event in staffed.events(job)]
    assert said == [
        ("job.state", "queued"), ("job.state", "running"), ("job.frame", None),
        ("job.frame", None), ("job.state", "succeeded"),
    ]  # fmt: skip


def test_progress_is_told_while_it_lasts(staffed: Site) -> None:
    job = staffed.draw(plan(3, "slow", steps=4))
    told: list[int] = []

    def look() -> bool:
        events = staffed.events(job)
        told.extend(e.data["step"] for e in events if e.type == "job.progress")
        return staffed.job(job).state.ended

    staffed.until(look)
    assert 1 in told
    assert 0 < max(told) <= 4


def test_the_same_picture_twice_is_one_file(staffed: Site) -> None:
    before = len(staffed.rows(AssetRow))
    for tenant in ("ada", "bob"):
        staffed.ended(staffed.draw(plan(77), tenant=tenant), tenant)
    assert len(staffed.rows(AssetRow)) == before + 1


@pytest.mark.parametrize(("prompt", "code"), [("nonsense", "bad_output"), ("fault", "internal")])
def test_what_cannot_be_drawn_fails_with_a_code_and_costs_nothing(
    staffed: Site, prompt: str, code: str
) -> None:
    job = staffed.draw(plan(4), plan(5, prompt))
    ended = staffed.ended(job)
    assert (ended.state, ended.units, bills(staffed, job)) == (JobState.FAILED, 0.0, [])
    assert ended.failure is not None
    assert ended.failure.code == code
    assert staffed.ended(staffed.draw(plan(6))).state == JobState.SUCCEEDED


def test_an_engine_that_comes_back_finishes_the_job_and_one_that_stays_away_fails_it(
    staffed: Site,
) -> None:
    down = staffed.folder / "down"
    down.touch()
    hasty, patient = staffed.draw(plan(8), seconds=1.0), staffed.draw(plan(9))
    ended = staffed.ended(hasty)
    assert (ended.state, bills(staffed, hasty)) == (JobState.FAILED, [])
    assert ended.failure is not None
    assert ended.failure.code == "backend_unavailable"
    down.unlink()
    assert staffed.ended(patient).state == JobState.SUCCEEDED


def test_a_running_job_stops_at_its_next_step_and_only_steps_that_were_run_are_billed(
    staffed: Site,
) -> None:
    job = staffed.draw(plan(10, steps=5), plan(11, "slow", steps=50))
    staffed.until(lambda: len(staffed.events(job)) >= 4)
    asked = staffed.run(lambda jobs: jobs.cancel("ada", job))
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    began = time.monotonic()
    ended = staffed.ended(job)
    assert time.monotonic() - began < 5
    assert ended.state == JobState.CANCELED
    assert ended.units is not None
    assert 5 * 0.01 <= ended.units < 55 * 0.01
    assert bills(staffed, job) == [ended.units]


def test_a_cancel_that_races_the_end_leaves_one_end(staffed: Site) -> None:
    chance = random.Random(0)
    for seed in range(8):
        job = staffed.draw(plan(seed, steps=3))
        time.sleep(chance.uniform(0, 0.5))
        staffed.run(lambda jobs, job=job: jobs.cancel("ada", job))
        ended = staffed.ended(job)
        ends = [
            event.data["state"]
            for event in staffed.events(job)
            if event.type == "job.state" and JobState(event.data["state"]).ended
        ]
        assert ends == [ended.state]
        assert bills(staffed, job) == ([ended.units] if ended.units else [])


def test_a_long_line_of_one_tenant_keeps_no_other_waiting(staffed: Site) -> None:
    many = [staffed.draw(plan(seed, steps=2)) for seed in range(12)]
    alone = staffed.draw(plan(99), tenant="bob")
    staffed.ended(alone, "bob")
    assert not all(staffed.job(job).state.ended for job in many)
    for job in many:
        staffed.ended(job)


def test_what_nobody_began_in_time_expires_and_what_was_left_open_is_closed(site: Site) -> None:
    late, open_ = site.draw(plan(), seconds=0.01), site.draw(plan())
    with sqlite3.connect(site.folder / "service.db") as raw:
        raw.execute("UPDATE workflow_status SET status = 'ERROR' WHERE workflow_uuid = ?", (open_,))
    site.start()
    failures = {job: site.ended(job).failure for job in (late, open_)}
    assert {job: failure and failure.code for job, failure in failures.items()} == {
        late: "deadline_exceeded", open_: "internal",
    }  # fmt: skip
    states = [site.job(job).state for job in (late, open_)]
    assert states == [JobState.EXPIRED, JobState.FAILED]
    assert site.rows(BillingOutboxRow) == []


def test_a_worker_told_to_end_finishes_its_frame_and_gives_its_lease_back(site: Site) -> None:
    worker = site.start()
    job = site.draw(plan(1, "slow", steps=3))
    site.until(site.begun)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert site.job(job).state == JobState.SUCCEEDED
    assert site.rows(ExecutorLeaseRow) == []


def test_plans_survive_the_way_through_the_tables(staffed: Site) -> None:
    given = plan(2**63 - 1, "été 雨 \U0001f327", steps=1)
    job = staffed.draw(given)
    staffed.ended(job)
    [row] = [row for row in staffed.rows(JobFrameRow) if row.job == job]
    assert RenderPlan.model_validate(row.plan) == given


def test_a_frame_of_a_storyboard_is_drawn_after_the_one_it_looks_at_and_from_its_picture(
    staffed: Site,
) -> None:
    keys = ["a" * 64, "b" * 64]
    pull = LatentReference(picture=keys[0], strength=0.5, begin=0, end=1)
    second = plan(21).model_copy(update={"reference": pull})
    new = chain("ada", [(keys[0], plan(20)), (keys[1], second)])
    job = staffed.accept(new).job
    assert staffed.ended(job.id).state == JobState.SUCCEEDED
    first, last = staffed.run(lambda jobs: jobs.frames("ada", job.id))
    assert last.plan.reference is not None
    assert last.plan.reference.picture == first.sha256
