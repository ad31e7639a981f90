"""Storyboards over HTTP: kept, compiled, built by real workers, and built again."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import pytest
from PIL import Image

from tests.serving.gateway.conftest import working
from tests.serving.gateway.reading import credentials_of
from tests.serving.gateway.test_characters import create, upload
from tests.serving.gateway.test_generations import ended

WALK = Path(__file__).parents[3] / "docs" / "storyboards" / "walk.yaml"
CANVAS = {"width": 64, "height": 64, "steps": 2}
PULL = {"from": "a", "latent": {"strength": 0.3}}


def board(*frames: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"title": "A test", "canvas": CANVAS, "frames": list(frames)} | more


def keep(client: httpx.Client, document: dict[str, Any]) -> str:
    answer = client.post("/api/v1/storyboards", json=document)
    assert answer.status_code == 201, answer.text
    where = answer.headers["location"]
    assert where.endswith(answer.json()["id"])
    return str(httpx.URL(where).path)


def stale(client: httpx.Client, place: str) -> list[str]:
    frames = client.get(f"{place}/frames").json()["frames"]
    return [frame["name"] for frame in frames if frame["stale"]]


def built(client: httpx.Client, place: str) -> tuple[list[str], dict[str, Any]]:
    """The frames that a build draws, and how its job ended."""
    accepted = client.post(f"{place}/builds", json={})
    assert accepted.status_code == 202, accepted.text
    job = ended(client, accepted.json()["job_id"])
    assert job["status"] == "succeeded", job["error"]
    return accepted.json()["drawing"], job


def content(job: dict[str, Any], name: str) -> bytes:
    [file] = [one for one in job["files"] if one["name"] == name]
    answer = httpx.get(file["url"])
    assert answer.headers["content-type"] == file["mime"]
    return answer.content


def test_a_storyboard_in_yaml_becomes_frames_a_sheet_an_animatic_and_a_manifest(
    admin: httpx.Client, worker: None
) -> None:
    text = WALK.read_text().replace("seed: 11", f"seed: 11\ncanvas: {json.dumps(CANVAS)}")
    headers = {"content-type": "application/yaml"}
    kept = admin.post("/api/v1/storyboards", content=text, headers=headers)
    assert kept.status_code == 201, kept.text
    place = f"/api/v1/storyboards/{kept.json()['id']}"
    shown = admin.get(f"{place}/frames").json()
    assert (shown["stale"], len(shown["frames"])) == (6, 6)
    assert shown["cost"] == pytest.approx(6 * 2 * 64 * 64 / 1e6)
    drawing, job = built(admin, place)
    assert drawing == [frame["name"] for frame in shown["frames"]]
    assert job["units"] == pytest.approx(shown["cost"])
    assert [file["name"] for file in job["files"]] == sorted(
        ["animatic.gif", "contact-sheet.png", "manifest.json"]
        + [f"frames/{number:02d}-{name}.png" for number, name in enumerate(drawing, start=1)]
    )
    manifest = json.loads(content(job, "manifest.json"))
    assert [frame["picture"] for frame in manifest["frames"]] == [
        output["sha256"] for output in job["outputs"]
    ]
    assert manifest["frames"][1]["plan"]["reference"]["picture"] == job["outputs"][0]["sha256"]
    with Image.open(io.BytesIO(content(job, "animatic.gif"))) as animatic:
        assert animatic.n_frames == 6
    with Image.open(io.BytesIO(content(job, "contact-sheet.png"))) as sheet:
        assert sheet.width > sheet.height // 2


def test_what_is_unchanged_is_not_drawn_again_and_comes_to_the_same_files(
    admin: httpx.Client, worker: None
) -> None:
    frames = [{"name": name, "words": name} for name in "abc"]
    frames[1]["inherits"] = [PULL]  # type: ignore[assignment]
    place = keep(admin, board(*frames))
    assert built(admin, place)[0] == ["a", "b", "c"]
    before = admin.get(f"{place}/frames").json()
    assert (before["stale"], before["cost"]) == (0, 0)
    assert httpx.get(before["frames"][0]["url"]).headers["content-type"] == "image/png"
    drawing, job = built(admin, place)
    assert (drawing, job["units"], job["outputs"]) == ([], 0, [])
    again = built(admin, place)[1]
    assert [file["sha256"] for file in again["files"]] == [file["sha256"] for file in job["files"]]
    signed = content(job, "contact-sheet.png")
    assert signed == content(again, "contact-sheet.png")
    assert credentials_of(signed, "image/png", None)[0] == "Valid"
    frames[0]["words"] = "other words"
    assert admin.put(place, json=board(*frames)).status_code == 200
    assert stale(admin, place) == ["a", "b"]
    assert built(admin, place)[0] == ["a", "b"]
    frames[0]["words"] = "a"
    admin.put(place, json=board(*frames))
    assert stale(admin, place) == []


def test_sheets_and_animatics_carry_credentials_of_their_own_once_for_each_tenant(
    admin: httpx.Client, stranger: httpx.Client, worker: None, guarded: tuple[str, Path]
) -> None:
    anchor = (guarded[1] / "credentials" / "authority.pem").read_bytes()
    twin = board({"name": "a"}, title="Twins")
    one, other = (built(client, keep(client, twin))[1] for client in (admin, stranger))
    for name, mime in (("contact-sheet.png", "image/png"), ("animatic.gif", "image/gif")):
        file = content(one, name)
        trusted, manifest = credentials_of(file, mime, anchor)
        assert trusted == "Trusted"
        assert "compositeWithTrainedAlgorithmicMedia" in str(manifest)
        # Another tenant's are of the same pictures, and signed for that tenant.
        assert content(other, name) != file


def test_a_character_is_named_by_its_id_and_its_change_makes_frames_stale(
    admin: httpx.Client, worker: None
) -> None:
    made = create(admin, "Aki", *upload(admin, 301, 302), words={"identity": "a boy"}).json()
    cast = {"aki": {"id": made["id"], "outfit": "a red hat"}}
    frame = {"name": "a", "characters": {"aki": {"pose": "walking"}}}
    place = keep(admin, board(frame, {"name": "b"}, characters=cast))
    job = built(admin, place)[1]
    [first, _] = json.loads(content(job, "manifest.json"))["frames"]
    assert first["plan"]["prompt"].startswith("a boy wearing a red hat walking")
    crops = [one["crop"] for one in made["references"]]
    assert first["characters"]["aki"]["pictures"] == {"identity": crops}
    admin.patch(f"/api/v1/characters/{made['id']}", json={"words": {"identity": "a girl"}})
    assert stale(admin, place) == ["a"]
    admin.delete(f"/api/v1/characters/{made['id']}")
    gone = admin.get(f"{place}/frames")
    assert (gone.status_code, gone.json()["field"]) == (400, "characters.aki.id")


def rows(state: Path) -> str:
    """Every row of every table, read by another process."""
    script = (
        "import sqlite3, sys;"
        "print(*sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True).iterdump())"
    )
    words = [sys.executable, "-c", script, str(state / "luciole.db")]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout


def test_builds_forget_a_character_that_is_deleted_and_nothing_else(
    admin: httpx.Client, worker: None, guarded: tuple[str, Path]
) -> None:
    words = {"identity": "a boy with heliotrope hair"}
    gone, stays = (
        create(admin, name, *upload(admin, seed), words=said).json()
        for name, seed, said in (("Gone", 311, words), ("Stays", 312, {"identity": "a tall girl"}))
    )
    [crop], [other] = ([one["crop"] for one in made["references"]] for made in (gone, stays))
    admin.delete(f"/api/v1/assets/{crop}")  # its upload: only the character needs it now
    cast = {"gone": {"id": gone["id"]}, "stays": {"id": stays["id"]}}
    frames = [{"name": name, "characters": {name: {}}} for name in cast]
    story = board(
        *frames, {"name": "both", "characters": {one: {} for one in cast}}, characters=cast
    )
    place, deleted = keep(admin, story), keep(admin, story | {"title": "Deleted later"})
    job, lost = built(admin, place)[1], built(admin, deleted)[1]
    kept = admin.post(
        "/api/v1/versions", json={"subject": "frame", "job": job["jobId"], "index": 0}
    )
    assert kept.status_code == 201, kept.text
    admin.delete(deleted)
    once = keep(admin, board(frames[0], characters={"gone": cast["stays"]}))
    untouched = built(admin, once)[1]
    admin.put(once, json=board(frames[0], characters={"gone": cast["gone"]}))
    held = rows(guarded[1])
    assert all(trace in held for trace in (crop, "heliotrope", other, "a tall girl"))

    assert admin.delete(f"/api/v1/characters/{gone['id']}").status_code == 204

    held = rows(guarded[1])
    assert [trace for trace in (crop, "heliotrope", '"Gone"') if trace in held] == []
    assert (other in held, "a tall girl" in held) == (True, True)
    after = admin.get(f"/api/v1/jobs/{job['jobId']}").json()
    assert after["outputs"] == [one | {"url": ANY} for one in job["outputs"]]
    names = [file["name"] for file in job["files"] if file["name"] != "manifest.json"]
    assert [file["name"] for file in after["files"]] == names
    manifests = [file["url"] for one in (job, lost) for file in one["files"]
                 if file["name"] == "manifest.json"]  # fmt: skip
    assert [httpx.get(url).status_code for url in manifests] == [404, 404]
    assert content(untouched, "manifest.json")  # its name was another's when it was built
    admin.put(place, json=board(*frames[1:], characters={"stays": cast["stays"]}))
    assert stale(admin, place) == []


def test_a_character_that_is_being_drawn_is_not_deleted(admin: httpx.Client) -> None:
    made = create(admin, "Busy", *upload(admin, 321), words={"identity": "a boy"}).json()
    cast = {"busy": {"id": made["id"]}}
    place = keep(admin, board({"name": "a", "characters": {"busy": {}}}, characters=cast))
    job = admin.post(f"{place}/builds", json={"project": "busy"}).json()["job_id"]
    if admin.get(f"/api/v1/jobs/{job}").json()["status"] == "pending":
        refused = admin.delete(f"/api/v1/characters/{made['id']}")
        assert (refused.status_code, job in refused.json()["detail"]) == (409, True)
    admin.post(f"/api/v1/jobs/{job}/cancel")
    ended(admin, job)
    assert admin.delete(f"/api/v1/characters/{made['id']}").status_code == 204


def test_a_build_goes_on_where_its_worker_was_killed(easel: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    frames = [{"name": name, "words": "slow", "inherits": []} for name in "abc"]
    frames[1]["inherits"] = [PULL]
    with easel(tmp_path) as address, httpx.Client(base_url=address) as owner:
        place = keep(owner, board(*frames))
        with working(tmp_path, lease=1):
            job = owner.post(f"{place}/builds", json={}).json()["job_id"]
            until = time.monotonic() + 20
            while not notes.exists() or len(notes.read_text().splitlines()) < 2:
                assert time.monotonic() < until
                time.sleep(0.02)
        with working(tmp_path, lease=1):
            shown = ended(owner, job)
        assert (shown["status"], len(shown["outputs"])) == ("succeeded", 3)
        manifest = json.loads(content(shown, "manifest.json"))
        assert (
            manifest["frames"][1]["plan"]["reference"]["picture"]
            == (manifest["frames"][0]["picture"])
        )
    first, second, *_ = begun = [line.split()[-2] for line in notes.read_text().splitlines()]
    assert (begun.count(first), begun.count(second), len(begun)) == (1, 2, 4)


def test_the_same_key_gives_the_same_build(admin: httpx.Client) -> None:
    place = keep(admin, board({"name": "a"}))
    headers = {"idempotency-key": "build-1"}
    first, again = (admin.post(f"{place}/builds", json={}, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = admin.post(f"{place}/builds", json={"project": "p"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_storyboards_are_listed_and_their_builds_found(admin: httpx.Client) -> None:
    places = [keep(admin, board({"name": "a"}, title=f"Story {n}")) for n in range(2)]
    job = admin.post(f"{places[0]}/builds", json={}).json()["job_id"]
    first = admin.get("/api/v1/storyboards", params={"limit": 1}).json()
    assert [one["title"] for one in first["items"]] == ["Story 1"]
    cursor = {"limit": 1, "cursor": first["next_cursor"]}
    second = admin.get("/api/v1/storyboards", params=cursor).json()
    assert [one["title"] for one in second["items"]] == ["Story 0"]
    jobs = admin.get("/api/v1/jobs", params={"subject": second["items"][0]["id"]}).json()["items"]
    assert [(one["jobId"], one["kind"]) for one in jobs] == [(job, "storyboard")]
    assert admin.delete(places[0]).status_code == 204
    assert admin.get(places[0]).status_code == 404


REFUSED: list[tuple[dict[str, Any], str]] = [
    (board(), "frames"),
    (board({"name": "A b"}), "frames.A b.name"),
    (board({"name": "a", "inherits": [{"from": "b"}]}), "frames.a.inherits.0.from"),
    (board({"name": "a", "characters": {"x": {}}}), "frames.a.characters"),
    (board({"name": "a"}, characters={"x": {"id": "character_0"}}), "characters.x.id"),
    (
        board({"name": "a"}, characters={"x": {"pictures": {"identity": ["0" * 64]}}}),
        "characters.x.pictures",
    ),
    (board({"name": "a", "face": 1}), "frames.a.face"),
]


@pytest.mark.parametrize(("document", "field"), REFUSED)
def test_what_cannot_be_followed_is_refused_by_frame_and_field(
    admin: httpx.Client, document: dict[str, Any], field: str
) -> None:
    answer = admin.post("/api/v1/storyboards", json=document)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


TEXTS = [
    "title: [",
    "- a",
    "title: &a x\nframes: [{name: *a}]",
    "[" * 2000,
    "seed: !!python/name:os.system",
    "title: 2001-99-99",
    "title: \x00",
]


@pytest.mark.parametrize("text", TEXTS)
def test_yaml_that_is_none_or_worse_is_refused(admin: httpx.Client, text: str) -> None:
    headers = {"content-type": "application/yaml"}
    answer = admin.post("/api/v1/storyboards", content=text, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")


def test_a_frame_that_the_model_cannot_draw_is_named(admin: httpx.Client) -> None:
    place = keep(admin, board({"name": "a"}, canvas={"width": 100, "height": 64}))
    answer = admin.post(f"{place}/builds", json={})
    assert (answer.status_code, answer.json()["field"]) == (400, "frames.a.width")


def test_a_character_of_another_tenant_plays_no_part(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    theirs = create(stranger, "Theirs", *upload(stranger, 311)).json()["id"]
    document = board({"name": "a"}, characters={"x": {"id": theirs}})
    answer = admin.post("/api/v1/storyboards", json=document)
    assert (answer.status_code, answer.json()["field"]) == (400, "characters.x.id")
