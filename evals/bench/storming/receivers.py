"""Who bills and webhooks are sent to: a server that counts as Stripe does, and an endpoint."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Heard:
    """What arrived."""

    address: str = ""
    meter: dict[str, int] = field(default_factory=dict)
    """Values by identifier; the first one counts."""
    meter_repeats: int = 0
    messages: dict[str, set[str]] = field(default_factory=dict)
    """The ids of the messages about each job."""


@contextmanager
def receiving() -> Iterator[Heard]:
    """Listen on any free port while the block lasts."""
    heard, lock = Heard(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                status, said = self._hear(body)
            content = json.dumps(said).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                return  # its sender was killed meanwhile, which is what a storm is for

        def _hear(self, body: bytes) -> tuple[int, dict[str, Any]]:
            if self.path != "/v1/billing/meter_events":
                message = json.loads(body)
                about = heard.messages.setdefault(message["data"]["job_id"], set())
                about.add(self.headers["webhook-id"])
                return 200, {}
            event = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            identifier = event["identifier"]
            if identifier in heard.meter:
                heard.meter_repeats += 1
                words = f"An event already exists with identifier {identifier}."
                return 400, {"error": {"type": "invalid_request_error", "message": words}}
            heard.meter[identifier] = int(event["payload[value]"])
            return 200, {"object": "billing.meter_event", "identifier": identifier}

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    heard.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
