"""Every route, tried with another tenant's key on our things."""

from typing import Any

import httpx
import pytest

OPEN = {"/", "/healthz", "/readyz", "/metrics"}
"""The same for everybody, tenant or not."""
OWN = {"/api/v1/me", "/api/v1/token", "/v1/models", "/v1/images/generations", "/v1/images/edits"}
"""What these tell or do is the caller's own, and names nothing of anybody."""

SHARED = {"/v1/styles/{name}/preview"}
"""Names that mean the same to every tenant."""
BODIES: dict[str, Any] = {
    "/api/v1/characters/{character}": {"name": "stolen"},
    "/api/v1/storyboards/{storyboard}/builds": {},
}
"""What routes want to hear before they look for the thing."""


def names_of(things: dict[str, str]) -> set[str]:
    """Parameters whose values name one thing in the world."""
    return {name for name, value in things.items() if len(value) > 1}


@pytest.fixture(scope="module")
def paths(guarded: tuple[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{guarded[0]}/openapi.json").json()["paths"]
    return found


@pytest.fixture(scope="module")
def ours(admin: httpx.Client, guarded: tuple[str, object], tiny_png: bytes) -> dict[str, str]:
    """One of everything that has a name, by the parameter that names it."""
    body = {"prompt": "secret", "size": {"width": 64, "height": 64}, "project": "secret project"}
    job = admin.post("/api/v1/generations", json=body).json()["jobId"]
    asset = admin.post("/api/v1/assets", content=tiny_png + b"tenants").json()["sha256"]
    key = admin.post("/api/v1/keys", json={"name": "secret key", "scopes": ["read"]}).json()["id"]
    hook = admin.post("/api/v1/webhooks", json={"url": "https://93.184.216.34/secret"}).json()["id"]
    consent = {"basis": "fictional", "given_by": "us"}
    person = {"name": "secret person", "consent": consent, "pictures": [{"sha256": asset}]}
    character = admin.post("/api/v1/characters", json=person).json()["id"]
    story = {"title": "secret story", "frames": [{"name": "a"}]}
    storyboard = admin.post("/api/v1/storyboards", json=story).json()["id"]
    [version] = admin.get("/api/v1/versions", params={"subject": storyboard}).json()["items"]
    return {
        "job": job,
        "storyboard": storyboard,
        "sha256": asset,
        "key": key,
        "webhook": hook,
        "character": character,
        "number": "1",
        "version": version["id"],
        "name": "ink",
    }


def test_a_route_with_a_name_in_it_knows_no_thing_of_another_tenant(
    stranger: httpx.Client, admin: httpx.Client, paths: dict[str, Any], ours: dict[str, str]
) -> None:
    unknown = {
        "job": "job_" + "0" * 32,
        "storyboard": "storyboard_" + "0" * 32,
        "sha256": "0" * 64,
        "key": "key_0",
        "webhook": "hook_0",
        "character": "character_" + "0" * 32,
        "number": "1",
        "version": "version_" + "0" * 32,
        "name": "ink",
    }
    tried = []
    for path, methods in paths.items():
        if "{" not in path or path in SHARED:
            continue
        for method in methods:
            body = BODIES.get(path)
            answer = stranger.request(method, path.format(**ours), json=body)
            assert (method, path, answer.status_code) == (method, path, 404)
            nothing = stranger.request(method, path.format(**unknown), json=body)
            told = answer.text
            for name in names_of(ours):
                told = told.replace(ours[name], unknown[name])
            assert told == nothing.text
            assert answer.json()["code"] == nothing.json()["code"]
            assert answer.json()["code"].endswith("not_found")
            tried.append(path)
    assert len(set(tried)) >= 5
    assert admin.get(f"/api/v1/jobs/{ours['job']}").status_code == 200
    assert admin.get(f"/api/v1/assets/{ours['sha256']}").status_code == 200
    assert [one["id"] for one in admin.get("/api/v1/webhooks").json()] == [ours["webhook"]]
    [card] = [one for one in admin.get("/api/v1/keys").json() if one["id"] == ours["key"]]
    assert card["revoked_at"] is None
    assert admin.delete(f"/api/v1/webhooks/{ours['webhook']}").status_code == 204


def test_a_list_holds_nothing_of_another_tenant(
    stranger: httpx.Client, paths: dict[str, Any], ours: dict[str, str]
) -> None:
    lists = {path for path, methods in paths.items() if "get" in methods and "{" not in path}
    for path in lists - OPEN - {"/api/v1/events"}:
        text = stranger.get(path).text
        assert not any(ours[name] in text for name in names_of(ours)), path
        assert "secret" not in text, path
    assert stranger.get("/api/v1/jobs", params={"project": "secret project"}).json()["items"] == []
    tree = stranger.get("/api/v1/versions", params={"subject": ours["storyboard"]})
    assert tree.json()["items"] == []
    assert stranger.get("/api/v1/events", params={"job": ours["job"]}).status_code == 404


def test_every_route_but_the_open_ones_wants_a_key(
    guarded: tuple[str, object], paths: dict[str, Any], ours: dict[str, str]
) -> None:
    for path, methods in paths.items():
        for method in methods:
            address = f"{guarded[0]}{path.format(**ours)}"
            status = httpx.request(method, address, json={"prompt": "a"}).status_code
            if path in OPEN:
                assert status == 200, path
            else:
                assert status in {400, 401}, (method, path)
                assert status == 401 or methods[method].get("requestBody"), (method, path)


def test_a_reader_can_change_nothing(
    admin: httpx.Client, guarded: tuple[str, object], paths: dict[str, Any], ours: dict[str, str]
) -> None:
    made = admin.post("/api/v1/keys", json={"name": "reads", "scopes": ["read"]}).json()
    headers = {"authorization": f"Bearer {made['secret']}"}
    for path, methods in paths.items():
        for method in set(methods) - {"get"}:
            if path in OWN - {"/v1/images/generations", "/v1/images/edits"}:
                continue
            address = f"{guarded[0]}{path.format(**ours)}"
            answer = httpx.request(method, address, json={}, headers=headers)
            assert answer.status_code in {400, 403}, (method, path)
