"""Keys, scopes and tenants through a real server."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.settings import AuthChoice


def me(address: str, key: str) -> httpx.Response:
    return httpx.get(f"{address}/api/v1/me", headers={"authorization": f"Bearer {key}"})


def client(address: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"authorization": f"Bearer {key}"})


def test_an_open_machine_takes_anything_that_is_no_key_for_its_owner(open_easel: str) -> None:
    for headers in ({}, {"authorization": "Bearer none"}):
        seen = httpx.get(f"{open_easel}/api/v1/me", headers=headers).json()
        assert (seen["tenant"], seen["subject"]) == ("local", "owner")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"x-forwarded-for": "203.0.113.9"},
        {"origin": "https://evil.example"},
        {"authorization": "Bearer lk_" + "a" * 43},
        {"authorization": "Bearer a.b.c"},
    ],
)
def test_an_open_machine_is_closed_to_pages_proxies_and_wrong_keys(
    open_easel: str, headers: dict[str, str]
) -> None:
    answer = httpx.get(f"{open_easel}/api/v1/me", headers=headers)
    assert answer.status_code in {401, 403}
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_first_key_lies_in_a_file_that_only_its_owner_reads(guarded: tuple[str, Path]) -> None:
    for name in ("admin.key", "signing.json"):
        assert (guarded[1] / name).stat().st_mode & 0o777 == 0o600


def test_the_first_key_is_kept_by_a_second_start(guarded: tuple[str, Path], easel: Any) -> None:
    _, state = guarded
    before = (state / "admin.key").read_text()
    with easel(state, auth=AuthChoice.KEYS) as at:
        assert me(at, before).status_code == 200
    assert (state / "admin.key").read_text() == before


@pytest.mark.parametrize("key", ["", "none", "lk_" + "a" * 43, "a.b.c"])
def test_without_a_known_key_nothing_is_answered(guarded: tuple[str, Path], key: str) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = httpx.get(f"{guarded[0]}/api/v1/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    drawing = f"{guarded[0]}/v1/images/generations"
    for body in (b'{"prompt": "a"}', b'{"prompt": 1}', b"no JSON"):  # nothing of it is read
        answer = httpx.post(drawing, content=body, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "authentication_error"


def test_a_key_opens_what_its_scopes_say_until_it_is_revoked(
    admin: httpx.Client, guarded: tuple[str, Path]
) -> None:
    made = admin.post("/api/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()
    with client(guarded[0], made["secret"]) as reader:
        assert reader.get("/api/v1/me").json()["scopes"] == ["read"]
        refused = reader.post("/api/v1/keys", json={"name": "more", "scopes": ["admin"]})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        drawn = reader.post("/v1/images/generations", json={"prompt": "a"})
        assert (drawn.status_code, drawn.json()["error"]["code"]) == (403, "forbidden")
    assert admin.delete(f"/api/v1/keys/{made['id']}").status_code == 204
    assert admin.delete("/api/v1/keys/key_unknown").status_code == 404
    [card] = [card for card in admin.get("/api/v1/keys").json() if card["id"] == made["id"]]
    assert card["revoked_at"] is not None
    assert "secret" not in card


def test_the_state_holds_no_key_that_could_be_used(guarded: tuple[str, Path]) -> None:
    """Another process reads: closing the file in this one would drop SQLite's locks on it."""
    secret = (guarded[1] / "admin.key").read_bytes()
    files = sorted(map(str, guarded[1].glob("luciole.db*")))
    assert files
    read = subprocess.run(["cat", *files], capture_output=True, check=True).stdout
    assert b"lk_" not in read
    assert secret not in read


def test_a_key_can_be_changed_for_a_token_that_does_as_much(
    admin: httpx.Client, guarded: tuple[str, Path]
) -> None:
    token = admin.post("/api/v1/token").json()["access_token"]
    with client(guarded[0], token) as holder:
        assert holder.get("/api/v1/me").json() == admin.get("/api/v1/me").json()
    assert me(guarded[0], token[:-4] + "AAAA").status_code == 401
    [public] = httpx.get(f"{guarded[0]}/.well-known/jwks.json").json()["keys"]
    assert "d" not in public
