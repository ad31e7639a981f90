"""The same service on Postgres: a story from its character to its versions."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert
from websockets.sync.client import connect

from evals.bench.postgres import programs, serving
from luciole.client import Luciole, NotFound
from serving.orchestration.characters.memory import CharacterMemory
from serving.storage.database import open_database
from serving.storage.migrate import migrate
from serving.storage.objects import open_objects
from serving.storage.tables import TenantRow
from tests.serving.gateway.conftest import WORKER
from tests.serving.gateway.test_client import STORY
from tests.serving.orchestration.characters.colours import Colours, drawing
from tests.serving.orchestration.characters.test_following import follow_each_other


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    found = programs()
    if found is None:
        pytest.skip("Postgres is not installed (Debian: apt-get install postgresql)")
    with serving(found) as server:
        yield server.database("gateway")


@contextmanager
def working(database: str, state: Path) -> Iterator[None]:
    limits = json.dumps({"lease": 5, "poll": 0.05, "house": 0.5, "tries": 3, "grace": 2})
    places = [database, str(state / "objects"), str(state / "notes"), limits]
    environment = os.environ | {"PYTHONPATH": "."}
    process = subprocess.Popen([sys.executable, str(WORKER), *places], env=environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_story_is_told_on_postgres_as_on_sqlite(
    easel: Any, database: str, tmp_path: Path
) -> None:
    with (
        easel(tmp_path, database_url=database) as address,
        working(database, tmp_path),
        Luciole(address) as service,
    ):
        words = {"identity": "a girl with green hair"}
        mika = service.characters.create("Mika", given_by="x", words=words, files=[drawing(1)])
        assert service.characters.by_words("green hair")[0].character.id == mika.id
        sha = service.upload(drawing(1, change=1)).sha256
        assert service.characters.by_picture(sha)[0].character.id == mika.id
        assert service.characters.change(mika.id, words={"outfit": "a red hat"}).version == 2
        board = service.storyboards.create(STORY % mika.id)
        job = service.wait(service.storyboards.build(board.id).job_id)
        assert (job.status, len(job.files or ())) == ("succeeded", 5)
        assert service.storyboards.frames(board.id).stale == 0
        kept = service.versions.keep("frame", job.job_id, 1)
        assert service.versions.restore(kept.id).parent == kept.id
        service.storyboards.replace(board.id, board.document | {"title": "Another"})
        assert len(service.versions.page(board.id).items) == 2
        assert service.usage().jobs == 1
        sees_previews(address, service)
        service.storyboards.delete(board.id)
        service.characters.delete(mika.id)
        with pytest.raises(NotFound):
            service.characters.get(mika.id)
        shown = httpx.get(f"{address}/metrics").text
        assert "luciole_workers 1.0" in shown


def sees_previews(address: str, service: Luciole) -> None:
    with connect(f"{address.replace('http', 'ws')}/api/v1/events") as socket:
        snapshot = json.loads(socket.recv(timeout=20))
        assert snapshot["queue"] == {"queued": 0, "running": 0}
        size = {"width": 64, "height": 64}
        job = service.generate("a girl", steps=100, size=size).job_id
        seen: set[str] = set()
        while isinstance(message := socket.recv(timeout=20), str):
            seen.add(json.loads(message)["type"])
        assert {"job.state", "queue.changed"} <= seen
        service.versions.discard(job)
        assert service.wait(job).decision == "discarded"


def test_two_processes_follow_each_others_characters_on_postgres(
    database: str, tmp_path: Path
) -> None:
    engine, objects = open_database(database), open_objects(f"file://{tmp_path}/objects")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(insert(TenantRow).values(id="two", name="two"))
    one, other = (CharacterMemory(engine, objects, Colours(), tmp_path / f) for f in ("a", "b"))
    follow_each_other(one, other, "two")
    engine.dispose()
