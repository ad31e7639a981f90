"""Webhooks, signed as standardwebhooks.com says; never sent to an address inside our network."""

import ipaddress
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Engine, Row, select, update
from standardwebhooks import Webhook

from serving.jobs.outbox import NotNow, Outbox, Refused
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.tables import WebhookEndpointRow, WebhookOutboxRow

TRIES = 12
"""Over about three days."""


def webhooks(database: Engine, inside: bool = False, hold: float = 30.0) -> Outbox:
    """Messages about jobs; with `inside`, also to this machine and without TLS."""
    client = httpx.Client(timeout=hold / 3, follow_redirects=False)

    def send(message: Row[Any]) -> None:
        asked = select(WebhookEndpointRow).where(WebhookEndpointRow.id == message.endpoint)
        with database.connect() as connection:
            reading = connection.execution_options(**READING)
            endpoint = reading.execute(asked).one()
        if endpoint.disabled_at is not None:
            raise Refused("its endpoint is disabled")
        status = _post(client, endpoint, message, inside)
        if status == httpx.codes.GONE:
            _disable(database, endpoint.id)
            raise Refused("its endpoint is gone")
        if not 200 <= status < 300:
            raise NotNow(f"HTTP {status}")

    return Outbox(WebhookOutboxRow, WebhookOutboxRow.id, send, _pause, hold)


def _post(client: httpx.Client, endpoint: Row[Any], message: Row[Any], inside: bool) -> int:
    body, moment = json.dumps(message.payload, separators=(",", ":")), now()
    parts = urlsplit(endpoint.url)
    address = _address(endpoint.url, inside)
    headers = {
        "host": parts.netloc.rpartition("@")[2],
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(endpoint.secret).sign(message.id, moment, body),
    }
    # To the address that was looked at: a second look-up might answer otherwise.
    url = httpx.URL(endpoint.url).copy_with(host=address)
    try:
        answer = client.post(
            url, content=body, headers=headers, extensions={"sni_hostname": parts.hostname}
        )
    except httpx.HTTPError as error:
        raise NotNow(type(error).__name__) from error
    return answer.status_code


def _address(url: str, inside: bool) -> str:
    """Where the host is, looked up once; Refused unless all of its addresses are public."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not inside:
        raise Refused("its URL is not https")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotNow("its host has no address") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not inside and not all(ipaddress.ip_address(one).is_global for one in addresses):
        raise Refused("its host is inside a private network")
    return addresses[0]


def _disable(database: Engine, endpoint: str) -> None:
    one = update(WebhookEndpointRow).where(WebhookEndpointRow.id == endpoint)
    with database.begin() as connection:
        connection.execute(one.values(disabled_at=now()))


def _pause(tries: int) -> float | None:
    return None if tries >= TRIES else min(5.0 * 3.0 ** (tries - 1), 8 * 3600.0)
