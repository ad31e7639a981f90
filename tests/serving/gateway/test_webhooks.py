"""Webhook endpoints: who may have them, and where they may not lead."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from luciole.domain import InvalidRequest
from serving.gateway.webhooks import destinations
from serving.gateway.webhooks.destinations import check_destination


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "ftp://hooks.example/",
        "https://",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.0.0.8/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://user:secret@hooks.example/",
        "https://hooks.example:99999/",
        "https://hooks.example/\r\nhost: evil",
        "https://[broken",
        "https://bücher.example/",
        "file:///etc/passwd",
    ],
)
def test_an_address_inside_or_without_tls_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_destination(url, inside=False)


def test_a_name_is_refused_if_any_of_its_addresses_is_private(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(2, 1, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(destinations.socket, "getaddrinfo", lambda *_, **__: found)
    check_destination("https://hooks.example/a?b=c", inside=False)
    found.append((2, 1, 6, "", ("192.168.0.7", 443)))
    with pytest.raises(InvalidRequest, match="private"):
        check_destination("https://hooks.example/a", inside=False)


class Heard(BaseHTTPRequestHandler):
    """Notes what is posted."""

    messages: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.messages.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    Heard.messages = []
    with HTTPServer(("127.0.0.1", 0), Heard) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", Heard.messages
        server.shutdown()
        thread.join()


def test_the_end_of_a_job_is_told_signed_to_who_asked_for_it(
    easel: Any, tmp_path: Path, receiver: tuple[str, list[tuple[dict[str, str], bytes]]]
) -> None:
    url, messages = receiver
    environment = os.environ | {
        "LUCIOLE_STATE_FOLDER": str(tmp_path),
        "LUCIOLE_WEBHOOKS_INSIDE": "true",
        "LUCIOLE_LOG_LEVEL": "ERROR",
    }
    with (
        easel(tmp_path, webhooks_inside=True) as address,
        httpx.Client(base_url=address) as owner,
    ):
        made = owner.post("/api/v1/webhooks", json={"url": url, "types": ["job.canceled"]}).json()
        job = owner.post("/api/v1/generations", json={"prompt": "a"}).json()
        owner.post(job["cancelUrl"])
        sender = subprocess.Popen([sys.executable, "-m", "serving", "sender"], env=environment)
        until = time.monotonic() + 40
        while not messages and time.monotonic() < until:
            time.sleep(0.05)
        sender.terminate()
        sender.wait(20)
        [(headers, body)] = messages
        told = Webhook(made["secret"]).verify(body, headers)
        assert (told["type"], told["data"]["job_id"]) == ("job.canceled", job["jobId"])
        [delivery] = owner.get(f"/api/v1/webhooks/{made['id']}/deliveries").json()
        assert (delivery["state"], delivery["attempts"]) == ("sent", 1)
        assert "secret" not in json.dumps(owner.get("/api/v1/webhooks").json())


def test_endpoints_are_refused_listed_and_removed(admin: httpx.Client) -> None:
    refused = admin.post("/api/v1/webhooks", json={"url": "https://127.0.0.1/"})
    assert (refused.status_code, refused.json()["field"]) == (400, "url")
    unknown = admin.post("/api/v1/webhooks", json={"url": "https://a.example", "types": ["x"]})
    assert (unknown.status_code, unknown.json()["field"]) == (400, "types")
    assert admin.get("/api/v1/webhooks").json() == []
    assert admin.delete("/api/v1/webhooks/hook_none").status_code == 404
