"""Versions over HTTP: a tree in which going back adds."""

import time
from typing import Any

import httpx
import pytest

from tests.serving.gateway.test_generations import FAST, ask, ended
from tests.serving.gateway.test_storyboards import board, built, keep


@pytest.fixture(scope="module")
def job(admin: httpx.Client, worker: None) -> str:
    """Three pictures that were drawn."""
    name: str = ask(admin, seeds=[1, 2, 3], **FAST).json()["jobId"]
    assert ended(admin, name)["decision"] is None
    return name


def choose(client: httpx.Client, job: str, subject: str, **more: Any) -> httpx.Response:
    return client.post("/api/v1/versions", json={"subject": subject, "job": job} | more)


def tree(client: httpx.Client, subject: str) -> list[tuple[str, str | None]]:
    """(id, parent), the newest first."""
    items = client.get("/api/v1/versions", params={"subject": subject}).json()["items"]
    return [(one["id"], one["parent"]) for one in items]


def test_a_picture_that_is_kept_is_a_version_with_its_plan(admin: httpx.Client, job: str) -> None:
    answer = choose(admin, job, "frame-1", index=1, label="the good one")
    assert answer.status_code == 201
    kept = answer.json()
    assert (kept["parent"], kept["label"], kept["request"]["seed"]) == (None, "the good one", 2)
    output = admin.get(f"/api/v1/jobs/{job}").json()["outputs"][1]
    assert [one["sha256"] for one in kept["assets"]] == [output["sha256"]]
    assert httpx.get(kept["assets"][0]["url"]).headers["content-type"] == "image/png"
    assert admin.get(f"/api/v1/jobs/{job}").json()["decision"] == "kept"
    assert admin.get(f"/api/v1/versions/{kept['id']}").json()["request"] == kept["request"]


def test_going_back_adds_a_child_and_deletes_nothing(admin: httpx.Client, job: str) -> None:
    first = choose(admin, job, "frame-2", index=0).json()
    second = choose(admin, job, "frame-2", index=1).json()
    back = admin.post(f"/api/v1/versions/{first['id']}/restore")
    assert back.status_code == 201
    assert (back.json()["request"], back.json()["assets"][0]["sha256"]) == (
        first["request"],
        first["assets"][0]["sha256"],
    )
    third = choose(admin, job, "frame-2", index=2, parent=second["id"]).json()
    assert tree(admin, "frame-2") == [
        (third["id"], second["id"]),
        (back.json()["id"], first["id"]),
        (second["id"], first["id"]),
        (first["id"], None),
    ]


def test_a_storyboard_goes_back_with_all_its_pictures(admin: httpx.Client, worker: None) -> None:
    place = keep(admin, board({"name": "a", "words": "one"}))
    subject = place.rpartition("/")[2]
    built(admin, place)
    admin.put(place, json=board({"name": "a", "words": "two"}))
    admin.put(place, json=board({"name": "a", "words": "two"}))
    assert len(tree(admin, subject)) == 2
    assert admin.get(f"{place}/frames").json()["stale"] == 1
    first = tree(admin, subject)[1][0]
    back = admin.post(f"/api/v1/versions/{first}/restore").json()
    assert (back["parent"], back["label"]) == (first, "restored")
    assert admin.get(place).json()["document"]["frames"][0]["words"] == "one"
    assert admin.get(f"{place}/frames").json()["stale"] == 0
    admin.delete(place)
    assert tree(admin, subject) == []


def test_keeping_one_cancels_the_rest_and_discarding_cancels_all(
    admin: httpx.Client, worker: None
) -> None:
    running = ask(admin, seeds=[1, 2], prompt="slow", steps=5).json()["jobId"]
    assert choose(admin, running, "frame-3", index=1).status_code == 404
    while not admin.get(f"/api/v1/jobs/{running}").json()["outputs"]:
        time.sleep(0.05)
    assert choose(admin, running, "frame-3", index=0).status_code == 201
    over = ended(admin, running)
    assert (over["status"], over["decision"], len(over["outputs"])) == ("canceled", "kept", 1)
    waiting = ask(admin, seeds=[1, 2], steps=100, prompt="slow").json()["jobId"]
    gone = admin.post(f"/api/v1/jobs/{waiting}/discard").json()
    assert (gone["cancelRequested"], gone["decision"]) == (True, "discarded")
    assert ended(admin, waiting)["status"] == "canceled"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"subject": "with space"}, 400, "subject"),
        ({"index": 3}, 404, "index"),
        ({"index": -1}, 400, "index"),
        ({"job": "job_0"}, 404, "job"),
        ({"parent": "version_0"}, 400, "parent"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    admin: httpx.Client, job: str, change: dict[str, Any], status: int, field: str
) -> None:
    answer = admin.post("/api/v1/versions", json={"subject": "frame-5", "job": job} | change)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert tree(admin, "frame-5") == []


def test_nobody_keeps_pictures_of_another_tenant(
    admin: httpx.Client, stranger: httpx.Client, job: str
) -> None:
    assert choose(stranger, job, "frame-1").status_code == 404
    assert tree(stranger, "frame-1") == []
