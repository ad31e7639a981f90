"""Keeps the service running in the foreground."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from rich.console import Console

from luciole.domain import EngineError
from luciole.shipped import shipped_model
from serving.bootstrap import configure_logging, service
from serving.exported import ensure
from serving.gateway.parts import Parts
from serving.jobs.command import crew
from serving.settings import Settings


def up(settings: Settings, console: Console) -> None:
    """Serve until Ctrl-C or SIGTERM, then stop everything that was started.

    The default bundle is exported first when it is missing or old; any other is taken as it is.
    """
    configure_logging(settings.log_level)
    if default_bundle(settings):
        ensure(settings.bundle, shipped_model(), settings.runtime)
    with (
        listening(settings) as door,
        service(settings) as (app, drawing),
        crew(settings, drawing.told),
    ):
        if drawing.notice:
            console.print(f"[yellow]{drawing.notice}[/]", highlight=False)
        words = f"Luciole ({drawing.engine}) is at {address_of(door)} - Ctrl-C stops it"
        server(app, lambda: console.print(words)).run(sockets=[door])


def default_bundle(settings: Settings) -> bool:
    """Whether the bundle is ours to export; one that somebody named is taken as it is."""
    return settings.bundle == Path(Settings.model_fields["bundle"].default)


class Server(uvicorn.Server):
    """Says when it answers, and tells listeners to events of its end, who would never end."""

    def __init__(self, config: uvicorn.Config, answering: Callable[[], None]) -> None:
        super().__init__(config)
        self._answering = answering

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so: before it, a bound port refuses every caller."""
        await super().startup(sockets)
        self._answering()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then whatever else is open."""
        parts: Parts = self.config.app.state.parts  # type: ignore[union-attr]
        parts.hub.end()
        await super().shutdown(sockets)


def server(app: FastAPI, answering: Callable[[], None] = lambda: None) -> Server:
    """Return a server that leaves logging to us and gives running requests time to end.

    It calls `answering` once callers get through.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_per_message_deflate=False,
    )
    return Server(config, answering)


@contextlib.contextmanager
def listening(settings: Settings, otherwise_any: bool = False) -> Iterator[socket.socket]:
    """Take the port of the settings, before anything slow starts; EngineError if it is taken.

    With `otherwise_any`, a taken port is replaced by any free one.
    """
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((settings.host, settings.port))
        except OSError as error:
            if not otherwise_any:
                words = f"{settings.port} is taken; set LUCIOLE_PORT to another"
                raise EngineError("port", f"{words} ({error.strerror})") from error
            door.bind((settings.host, 0))
        yield door


def address_of(door: socket.socket) -> str:
    """Return the URL at which a bound socket is reached from this machine."""
    host, port = door.getsockname()[:2]
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
