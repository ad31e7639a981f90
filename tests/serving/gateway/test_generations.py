"""Pictures as accepted work, through a real server and a real worker."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

FAST = {"steps": 2, "size": {"width": 64, "height": 64}}


def ask(client: httpx.Client, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return client.post("/api/v1/generations", json={"prompt": "a girl"} | body, headers=headers)


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        shown: dict[str, Any] = client.get(f"/api/v1/jobs/{job}").json()
        if shown["endedAt"] is not None:
            return shown
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def test_a_job_is_accepted_drawn_and_its_pictures_can_be_fetched(
    admin: httpx.Client, worker: None
) -> None:
    answer = ask(admin, seeds=[7, 300], project="p1", **FAST)
    assert answer.status_code == 202
    accepted = answer.json()
    assert answer.headers["location"] == accepted["statusUrl"]
    assert accepted["statusUrl"].endswith(f"/api/v1/jobs/{accepted['jobId']}")
    shown = ended(admin, accepted["jobId"])
    assert (shown["status"], shown["error"], shown["total"]) == ("succeeded", None, 2)
    assert shown["units"] == pytest.approx(2 * 2 * 64 * 64 / 1e6)
    assert [output["seed"] for output in shown["outputs"]] == [7, 300]
    picture = httpx.get(shown["outputs"][0]["url"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["etag"] == f'"{shown["outputs"][0]["sha256"]}"'
    assert shown["outputs"][0]["sha256"] in [
        asset["sha256"] for asset in admin.get("/api/v1/assets").json()["items"]
    ]


def test_the_same_key_gives_the_same_job_and_another_body_is_refused(admin: httpx.Client) -> None:
    first, again = (ask(admin, key="k1", **FAST) for _ in range(2))
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = ask(admin, key="k1", prompt="another")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_the_same_key_of_another_tenant_is_another_key(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    ours, theirs = ask(admin, key="k2", **FAST), ask(stranger, key="k2", prompt="other", **FAST)
    assert theirs.status_code == 202
    assert ours.json()["jobId"] != theirs.json()["jobId"]


def test_a_running_job_is_canceled_at_its_next_step(admin: httpx.Client, worker: None) -> None:
    accepted = ask(admin, prompt="slow", steps=100).json()
    while admin.get(accepted["statusUrl"]).json()["status"] == "pending":
        time.sleep(0.02)
    canceled = admin.post(accepted["cancelUrl"])
    assert canceled.status_code == 202
    assert canceled.json()["cancelRequested"] is True
    assert ended(admin, accepted["jobId"])["status"] == "canceled"
    assert admin.post(accepted["cancelUrl"]).json()["status"] == "canceled"


def test_pages_hold_every_job_once_the_newest_first(stranger: httpx.Client) -> None:
    made = [ask(stranger, project="pages", **FAST).json()["jobId"] for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        asked = {"limit": "2", "project": "pages"} | cursor
        page = stranger.get("/api/v1/jobs", params=asked).json()
        seen += [job["jobId"] for job in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "é", "MTpqb2JfMQ", "MjphYg"])
def test_a_cursor_that_was_not_given_is_refused(admin: httpx.Client, cursor: str) -> None:
    for path in ("/api/v1/jobs", "/api/v1/assets"):
        answer = admin.get(path, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": ""}, "prompt"),
    ({"negativePrompt": "x" * 5000}, "negativePrompt"),
    ({"size": {"width": 100, "height": 64}}, "size"),
    ({"size": {"width": 1024, "height": 1024}}, "size"),
    ({"seeds": [1, 2], "numVariations": 3}, "seeds"),
    ({"seeds": []}, "seeds"),
    ({"numVariations": 11}, "numVariations"),
    ({"guidanceScale": 99}, "guidanceScale"),
    ({"guidanceEta": -0.1}, "guidanceEta"),
    ({"customModelId": "other"}, "customModelId"),
    ({"negative_prompt": "snake"}, "negative_prompt"),
    ({"contentClass": "photo"}, "contentClass"),
    ({"start": {"picture": "0" * 64}}, "picture"),
    ({"start": {"picture": "../secret"}}, "start"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED)
def test_what_cannot_be_is_a_problem_that_names_the_field(
    admin: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = ask(admin, **body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == field
    assert problem["type"] == "urn:luciole:problem:invalid_request"
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert problem["detail"].startswith(field)


def test_a_picture_of_another_tenant_cannot_guide_ours(
    admin: httpx.Client, stranger: httpx.Client, tiny_png: bytes
) -> None:
    theirs = stranger.post("/api/v1/assets", content=tiny_png + b"theirs").json()["sha256"]
    refused = ask(admin, start={"picture": theirs}, **FAST)
    assert (refused.status_code, refused.json()["field"]) == (400, "picture")
    assert ask(stranger, start={"picture": theirs}, **FAST).status_code == 202


def test_without_a_worker_a_job_waits_and_can_still_be_canceled(easel: Any, tmp_path: Path) -> None:
    with easel(tmp_path) as address, httpx.Client(base_url=address) as owner:
        accepted = ask(owner, **FAST).json()
        assert owner.get(accepted["statusUrl"]).json()["status"] == "pending"
        assert owner.post(accepted["cancelUrl"]).json()["status"] == "canceled"
