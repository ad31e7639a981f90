"""Characters over HTTP, through a real server whose image encoder sees colours."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.gateway.drawing import Drawing
from tests.serving.orchestration.characters.colours import drawing

CONSENT = {"basis": "fictional", "given_by": "a test"}
MIKA = {"identity": "a girl with long red hair", "outfit": "a blue coat"}


def upload(client: httpx.Client, *seeds: int) -> list[str]:
    return [client.post("/api/v1/assets", content=drawing(seed)).json()["sha256"] for seed in seeds]


def create(client: httpx.Client, name: str, *pictures: str, **more: Any) -> httpx.Response:
    body = {"name": name, "consent": CONSENT, "pictures": [{"sha256": one} for one in pictures]}
    return client.post("/api/v1/characters", json=body | more)


@pytest.fixture(scope="module")
def mika(admin: httpx.Client) -> dict[str, Any]:
    answer = create(admin, "Mika", *upload(admin, 1, 2), words=MIKA)
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    return made


def test_somebody_is_remembered_by_two_pictures_and_can_be_seen(
    admin: httpx.Client, mika: dict[str, Any]
) -> None:
    shown = admin.get(f"/api/v1/characters/{mika['id']}").json()
    assert (shown["name"], shown["version"], shown["words"]) == ("Mika", 1, MIKA)
    assert shown["consent"]["basis"] == "fictional"
    contents = [httpx.get(one["url"]).content for one in shown["references"]]
    assert contents == [drawing(1), drawing(2)]


def test_files_make_a_character_too_each_with_its_facet(admin: httpx.Client) -> None:
    box = {"left": 0, "top": 0, "right": 16, "bottom": 16}
    card = {
        "name": "Files",
        "consent": CONSENT,
        "pictures": [{"facet": "outfit", "box": box}],
    }
    files = [("pictures", ("a.png", drawing(5))), ("pictures", ("b.png", drawing(6)))]
    made = admin.post(
        "/api/v1/characters/upload", data={"character": json.dumps(card)}, files=files
    )
    assert made.status_code == 201
    facets = [(one["facet"], one["box"]["right"]) for one in made.json()["references"]]
    assert facets == [("outfit", 16), ("identity", 32)]
    assert (
        admin.get("/api/v1/assets", params={"limit": 200}).text.count(
            made.json()["references"][1]["picture"]
        )
        == 0
    )


def test_everybody_is_listed_by_name_in_pages(admin: httpx.Client, mika: dict[str, Any]) -> None:
    for name in ("Anna", "Zoe"):
        create(admin, name, *upload(admin, ord(name[0])))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = admin.get("/api/v1/characters", params={"limit": 1} | cursor).json()
        seen += [one["name"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == sorted(seen)
    assert {"Anna", "Mika", "Zoe"} <= set(seen)
    [found] = admin.get("/api/v1/characters", params={"name": "Mika"}).json()["items"]
    assert found["id"] == mika["id"]


def test_somebody_is_found_by_words_and_by_a_picture(
    admin: httpx.Client, mika: dict[str, Any]
) -> None:
    words = {"words": "the red-haired one with the blue coat"}
    [first, *_] = admin.post("/api/v1/characters/search", json=words).json()
    assert (first["character"]["id"], first["score"]) == (mika["id"], 1.0)
    [alike] = [admin.post("/api/v1/assets", content=drawing(1, change=3)).json()["sha256"]]
    found = admin.post("/api/v1/characters/search", json={"picture": alike, "count": 1}).json()
    assert [one["character"]["name"] for one in found] == ["Mika"]


def test_a_near_duplicate_is_pointed_out(admin: httpx.Client) -> None:
    first = create(admin, "One", *upload(admin, 40)).json()
    content = drawing(40, change=1)
    twin = admin.post("/api/v1/assets", content=content).json()["sha256"]
    second = create(admin, "Two", twin).json()
    assert first["near"] == []
    assert [one["character"]["name"] for one in second["near"]] == ["One"]
    near = admin.get(f"/api/v1/characters/{first['id']}/near").json()
    assert [one["character"]["name"] for one in near] == ["Two"]


def test_a_change_makes_a_version_and_going_back_adds_another(admin: httpx.Client) -> None:
    made = create(admin, "Ken", *upload(admin, 50), words={"identity": "a boy"}).json()
    place = f"/api/v1/characters/{made['id']}"
    [other] = upload(admin, 51)
    change = {"words": {"outfit": "a red coat"}, "pictures": [{"sha256": other}]}
    changed = admin.patch(place, json=change).json()
    assert (changed["version"], changed["words"]["outfit"]) == (2, "a red coat")
    assert [one["picture"] for one in changed["references"]] == [other]
    back = admin.post(f"{place}/versions/1/restore").json()
    assert (back["version"], back["words"]) == (3, {"identity": "a boy"})
    listed = admin.get(f"{place}/versions").json()
    assert [one["version"] for one in listed] == [3, 2, 1]
    assert admin.get(f"{place}/versions/2").json()["words"]["outfit"] == "a red coat"
    assert admin.get(f"{place}/versions/9").status_code == 404


def test_a_package_carries_somebody_to_another_tenant(
    admin: httpx.Client, stranger: httpx.Client, mika: dict[str, Any]
) -> None:
    answer = admin.get(f"/api/v1/characters/{mika['id']}/package")
    assert answer.headers["content-type"] == "application/zip"
    assert "character.json" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    made = stranger.post(
        "/api/v1/characters/import", content=answer.content, params={"name": "Guest"}
    )
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["words"]) == ("Guest", MIKA)
    assert made.json()["id"] != mika["id"]
    damaged = stranger.post("/api/v1/characters/import", content=answer.content[:-40])
    assert (damaged.status_code, damaged.json()["field"]) == (400, "package")


def test_who_is_deleted_leaves_no_trace(admin: httpx.Client, guarded: tuple[str, Path]) -> None:
    card = {"name": "Gone", "consent": CONSENT}
    files = [("pictures", ("a.png", drawing(60)))]
    body = {"character": json.dumps(card)}
    made = admin.post("/api/v1/characters/upload", data=body, files=files).json()
    place, url = f"/api/v1/characters/{made['id']}", made["references"][0]["url"]
    picture = made["references"][0]["picture"]
    assert list((guarded[1] / "objects").rglob(f"{picture}*"))
    assert admin.delete(place).status_code == 204
    assert not list((guarded[1] / "objects").rglob(f"{picture}*"))
    for path in (place, f"{place}/versions", f"{place}/versions/1", f"{place}/package", url):
        assert admin.get(path).status_code == 404
    [other] = upload(admin, 61)
    found = admin.post("/api/v1/characters/search", json={"picture": other, "count": 50}).json()
    assert "Gone" not in [one["character"]["name"] for one in found]
    assert admin.delete(place).json()["code"] == "character_not_found"


def test_a_picture_that_is_also_an_upload_stays_one(admin: httpx.Client) -> None:
    [sha] = upload(admin, 70)
    made = create(admin, "Upload", sha).json()
    admin.delete(f"/api/v1/characters/{made['id']}")
    assert admin.get(f"/api/v1/assets/{sha}").status_code == 200


PICTURE = {"sha256": "0" * 64}
REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"name": "a/b"}, 400, "name"),
    ({"name": "Nobody", "consent": {"basis": "none", "given_by": "x"}}, 400, "consent"),
    ({"name": "Nobody", "pictures": []}, 400, "pictures"),
    ({"name": "Nobody", "pictures": [{}]}, 400, "pictures.0"),
    ({"name": "Nobody", "pictures": [PICTURE]}, 400, "picture"),
    ({"name": "Nobody", "words": {"face": "round"}}, 400, "words"),
    ({"name": "Mika"}, 409, "name"),
]


@pytest.mark.parametrize(("change", "status", "field"), REFUSED)
def test_what_cannot_be_is_refused_by_the_name_of_the_field(
    admin: httpx.Client, mika: dict[str, Any], change: dict[str, Any], status: int, field: str
) -> None:
    [sha] = upload(admin, 80)
    body = {"name": "x", "consent": CONSENT, "pictures": [{"sha256": sha}]} | change
    answer = admin.post("/api/v1/characters", json=body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


def test_a_picture_of_another_tenant_shows_nobody(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    [theirs] = upload(stranger, 190)
    refused = create(admin, "Stolen", theirs)
    assert (refused.status_code, refused.json()["field"]) == (400, "picture")
    assert admin.post("/api/v1/characters/search", json={"picture": theirs}).status_code == 404


def test_a_model_without_an_image_encoder_says_so(
    easel: Any, painting: Drawing, tmp_path: Path
) -> None:
    with easel(tmp_path, replace(painting, seer=None)) as address:
        answer = httpx.get(f"{address}/api/v1/characters")
    assert (answer.status_code, answer.json()["field"]) == (409, "model")
