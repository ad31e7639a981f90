"""Logging in at a real OpenID provider, as a browser does it."""

import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from serving.settings import AuthChoice

ROOT = Path(__file__).parents[4]
PROVIDER = ROOT / ".venv" / "oidc" / "node_modules" / "oidc-provider"


@dataclass
class Site:
    """A gateway that knows a provider."""

    address: str
    issuer: str


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


@pytest.fixture(scope="module")
def site(easel: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not PROVIDER.exists():
        pytest.skip("no OpenID provider: npm install --prefix .venv/oidc oidc-provider@9")
    port, provider_port = free_port(), free_port()
    issuer, address = f"http://127.0.0.1:{provider_port}", f"http://127.0.0.1:{port}"
    script = Path(__file__).with_name("provider.mjs")
    command = ["node", str(script), str(PROVIDER), issuer, f"{address}/auth/callback"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    while b"ready" not in process.stdout.readline():
        assert process.poll() is None
    settings = {
        "port": port,
        "auth": AuthChoice.KEYS,
        "oidc_issuer": issuer,
        "oidc_client_id": "studio",
        "oidc_client_secret": SecretStr("studio-secret"),
        "oidc_tenant_claim": "team",
    }
    with easel(tmp_path_factory.mktemp("login"), **settings):
        yield Site(address, issuer)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Keeps cookies and follows nothing by itself."""
    with httpx.Client(timeout=30) as made:
        yield made


def walk(browser: httpx.Client, url: str, login: str, until: str) -> httpx.Response:
    """Follow redirects and fill in the provider's forms until `until` is asked for."""
    answer = browser.get(url)
    for _ in range(20):
        if answer.is_redirect:
            target = str(answer.next_request.url)  # type: ignore[union-attr]
            if target.startswith(until):
                return browser.get(target)
            answer = browser.get(target)
            continue
        action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
        assert action is not None, answer.text[:500]
        assert prompt is not None
        form = {"prompt": prompt[1], "login": login, "password": "any"}
        answer = browser.post(str(answer.url.join(action[1])), data=form)
    raise AssertionError("the login does not end")


def test_who_logs_in_has_a_session_of_their_team(site: Site, browser: httpx.Client) -> None:
    assert browser.get(f"{site.address}/api/v1/me").status_code == 401
    begun = browser.get(f"{site.address}/auth/login?next=/docs")
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    back = walk(browser, begun.headers["location"], "ada", f"{site.address}/auth/callback")
    assert (back.status_code, back.headers["location"]) == (303, "/docs")
    cookie = next(line for line in back.headers.get_list("set-cookie") if "session" in line)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    me = browser.get(f"{site.address}/api/v1/me").json()
    assert me["tenant"] == "film"
    again = browser.get(str(back.request.url))
    assert again.status_code == 401, "a callback is good for once"
    evil = {"origin": "https://evil.example"}
    assert browser.post(f"{site.address}/api/v1/token", headers=evil).status_code == 403
    assert browser.post(f"{site.address}/auth/logout", headers=evil).status_code == 403
    assert browser.post(f"{site.address}/auth/logout").status_code == 204
    assert browser.get(f"{site.address}/api/v1/me").status_code == 401


@pytest.mark.parametrize(
    "query", ["", "?code=a", "?code=a&state=b", "?error=access_denied", "?code=%00&state=%ff"]
)
def test_a_callback_that_nobody_began_is_refused(
    site: Site, browser: httpx.Client, query: str
) -> None:
    answer = browser.get(f"{site.address}/auth/callback{query}")
    assert (answer.status_code, answer.json()["field"]) == (401, "login")


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_login_leads_back_to_this_service_only(
    site: Site, browser: httpx.Client, target: str
) -> None:
    answer = browser.get(f"{site.address}/auth/login", params={"next": target})
    assert (answer.status_code, answer.json()["field"]) == (400, "next")


def test_a_provider_that_is_away_is_said_so(easel: Any, tmp_path: Path) -> None:
    away = {
        "auth": AuthChoice.KEYS,
        "oidc_issuer": f"http://127.0.0.1:{free_port()}",
        "oidc_client_id": "studio",
    }
    with easel(tmp_path, **away) as address:
        answer = httpx.get(f"{address}/auth/login")
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
