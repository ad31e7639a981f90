"""The server says that it answers once it does."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

from fastapi import FastAPI

from serving.run import listening, server
from serving.settings import Settings


def test_a_caller_told_the_address_gets_through(tmp_path: Path) -> None:
    @asynccontextmanager
    async def slow(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.sleep(0.2)
        yield

    app = FastAPI(lifespan=slow)
    app.state.parts = SimpleNamespace(hub=SimpleNamespace(end=lambda: None))
    with listening(Settings(port=0, state_folder=tmp_path)) as door:

        def answering() -> None:
            with socket.create_connection(door.getsockname(), timeout=5):
                running.should_exit = True

        running = server(app, answering)
        running.run(sockets=[door])
    assert running.should_exit
