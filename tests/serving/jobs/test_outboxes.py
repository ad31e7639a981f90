"""Bills and webhooks reach real servers; what is sent twice counts once."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import insert, update
from standardwebhooks import Webhook

from luciole.domain.job import JobState
from serving.jobs.billing import billing
from serving.jobs.ending import Ending, end
from serving.jobs.outbox import deliver
from serving.jobs.webhooks import webhooks
from serving.storage.columns import now
from serving.storage.tables import BillingOutboxRow, WebhookEndpointRow, WebhookOutboxRow
from tests.serving.jobs.conftest import Site, plan

SECRET = "whsec_" + "c2VjcmV0" * 6
SENDER = """
import sys
from serving.jobs.billing import billing
from serving.jobs.outbox import run_sender
from serving.storage.database import open_database

url, address = sys.argv[1:]
run_sender(open_database(url), [billing("sk_test_a", "drawing", address, hold=0.5)], look=0.05)
"""


@dataclass
class Receiver:
    """An HTTP server; `answer` says (status, body) to (headers, body) of each POST."""

    answer: Callable[[dict[str, str], bytes], tuple[int, dict[str, Any]]]
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    known = Receiver(lambda headers, body: (200, {}))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            known.asked.append((headers, body))
            status, said = known.answer(headers, body)
            content = json.dumps(said).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except BrokenPipeError:
                pass

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    known.address = f"http://127.0.0.1:{server.server_port}"
    yield known
    server.shutdown()
    server.server_close()


def ended_job(site: Site, tenant: str = "ada") -> str:
    """A job whose end is billed, without any worker."""
    job = site.draw(plan(), tenant=tenant)
    with site.database.begin() as connection:
        assert end(connection, job, Ending(JobState.CANCELED, unfinished=0.25))
    return job


def make_due(site: Site, table: Any) -> None:
    with site.database.begin() as connection:
        connection.execute(update(table).values(due_at=now()))


def metered(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


def test_a_bill_is_a_meter_event_with_the_job_as_its_identifier(
    site: Site, receiver: Receiver
) -> None:
    job = ended_job(site)
    outbox = billing("sk_test_a", "drawing", receiver.address)
    assert (deliver(site.database, outbox), deliver(site.database, outbox)) == (1, 0)
    [(headers, body)] = receiver.asked
    event = metered(body)
    assert event["identifier"] == headers["idempotency-key"] == job
    assert (event["event_name"], event["payload[stripe_customer_id]"]) == ("drawing", "cus_ada")
    assert event["payload[value]"] == "250"
    [row] = site.rows(BillingOutboxRow)
    assert (row.state, int(event["timestamp"])) == ("sent", int(row.occurred_at.timestamp()))


def test_who_is_no_customer_of_stripe_is_counted_and_not_sent(
    site: Site, receiver: Receiver
) -> None:
    ended_job(site, tenant="bob")
    assert deliver(site.database, billing("sk_test_a", "drawing", receiver.address)) == 0
    assert [(row.state, row.units) for row in site.rows(BillingOutboxRow)] == [("kept", 0.25)]


def test_a_sender_killed_after_its_post_leaves_one_meter_event(
    site: Site, receiver: Receiver
) -> None:
    job = ended_job(site)
    events: set[str] = set()
    posted = threading.Event()
    killed = threading.Event()

    def meter(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        identifier = metered(body)["identifier"]
        if identifier in events:
            words = f"An event already exists with identifier {identifier}."
            return 400, {"error": {"type": "invalid_request_error", "message": words}}
        events.add(identifier)
        posted.set()
        killed.wait(30)
        return 200, {"object": "billing.meter_event"}

    receiver.answer = meter
    command = [sys.executable, "-c", SENDER, site.url, receiver.address]
    environment = os.environ | {"PYTHONPATH": "."}
    with subprocess.Popen(command, env=environment) as first:
        assert posted.wait(60)
        first.send_signal(signal.SIGKILL)
    killed.set()
    assert site.rows(BillingOutboxRow)[0].state == "pending"
    with subprocess.Popen(command, env=environment) as second:
        try:
            site.until(lambda: site.rows(BillingOutboxRow)[0].state == "sent")
            second.terminate()
            assert second.wait(30) == 0
        finally:
            second.kill()
    assert events == {job}
    assert len(receiver.asked) == 2


@pytest.mark.parametrize(
    ("status", "state"), [(500, "pending"), (429, "pending"), (400, "refused")]
)
def test_a_bill_waits_while_stripe_is_unwell_and_is_refused_once(
    site: Site, receiver: Receiver, status: int, state: str
) -> None:
    ended_job(site)
    receiver.answer = lambda headers, body: (status, {"error": {"message": "no such meter"}})
    outbox = billing("sk_test_a", "drawing", receiver.address)
    deliver(site.database, outbox)
    [row] = site.rows(BillingOutboxRow)
    assert (row.state, row.attempts) == (state, 1)
    assert row.error is not None
    receiver.answer = lambda headers, body: (200, {})
    make_due(site, BillingOutboxRow)
    assert deliver(site.database, outbox) == (state == "pending")


def endpoint(site: Site, url: str, types: list[str] | None = None) -> None:
    values = {"id": f"we_{len(site.rows(WebhookEndpointRow))}", "tenant": "ada", "url": url,
              "secret": SECRET, "types": types or []}  # fmt: skip
    with site.database.begin() as connection:
        connection.execute(insert(WebhookEndpointRow).values(**values))


def test_a_webhook_is_signed_and_keeps_its_id_when_it_is_sent_again(
    site: Site, receiver: Receiver
) -> None:
    endpoint(site, f"{receiver.address}/hook?a=b")
    endpoint(site, f"{receiver.address}/never", types=["job.failed"])
    job = ended_job(site)
    receiver.answer = lambda headers, body: (503, {})
    outbox = webhooks(site.database, inside=True)
    assert deliver(site.database, outbox) == 1
    receiver.answer = lambda headers, body: (204, {})
    make_due(site, WebhookOutboxRow)
    assert deliver(site.database, outbox) == 1
    (first, _), (second, body) = receiver.asked
    assert first["webhook-id"] == second["webhook-id"]
    message = Webhook(SECRET).verify(body, second)
    assert (message["type"], message["data"]["job_id"]) == ("job.canceled", job)
    [row] = site.rows(WebhookOutboxRow)
    assert (row.state, row.attempts) == ("sent", 2)


def test_an_endpoint_that_is_gone_is_asked_no_more(site: Site, receiver: Receiver) -> None:
    endpoint(site, receiver.address)
    receiver.answer = lambda headers, body: (410, {})
    ended_job(site)
    assert deliver(site.database, webhooks(site.database, inside=True)) == 1
    assert site.rows(WebhookOutboxRow)[0].state == "refused"
    assert site.rows(WebhookEndpointRow)[0].disabled_at is not None
    ended_job(site)
    assert len(site.rows(WebhookOutboxRow)) == 1


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://127.0.0.1/", "https://169.254.169.254/", "https://[::1]/",
     "https://10.0.0.1:8000/", "https://inside.test/"],
)  # fmt: skip
def test_a_webhook_into_our_own_network_is_refused(
    site: Site, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def resolve(host: str, port: int, **more: Any) -> Any:
        return look_up("192.168.0.1" if host == "inside.test" else host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    endpoint(site, url)
    ended_job(site)
    deliver(site.database, webhooks(site.database))
    assert site.rows(WebhookOutboxRow)[0].state == "refused"


def test_two_senders_share_the_messages_and_send_none_twice(site: Site, receiver: Receiver) -> None:
    jobs = {ended_job(site) for _ in range(12)}
    outbox = billing("sk_test_a", "drawing", receiver.address)

    def send() -> None:
        while deliver(site.database, outbox):
            pass

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(metered(body)["identifier"] for _, body in receiver.asked) == sorted(jobs)
