"""A real database and object store behind a memory."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from serving.orchestration.characters.memory import CharacterMemory
from serving.storage.database import open_database
from serving.storage.migrate import migrate
from serving.storage.objects import Objects, open_objects
from serving.storage.tables import TenantRow
from tests.serving.orchestration.characters.colours import Colours


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with two tenants, to be copied."""
    file = tmp_path_factory.mktemp("tables") / "service.db"
    engine = open_database(f"sqlite:///{file}")
    migrate(engine)
    tenants = [{"id": name, "name": name, "limits": {}} for name in ("ours", "theirs")]
    with engine.begin() as connection:
        connection.execute(insert(TenantRow), tenants)
    engine.dispose()
    return file


@pytest.fixture
def database(tables: Path, tmp_path: Path) -> Iterator[Engine]:
    shutil.copy(tables, tmp_path / "service.db")
    engine = open_database(f"sqlite:///{tmp_path}/service.db")
    yield engine
    engine.dispose()


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(f"file://{tmp_path}/objects")


@pytest.fixture
def start(database: Engine, objects: Objects, tmp_path: Path) -> Callable[..., CharacterMemory]:
    """A memory as a new process has it."""

    def started(salt: str = "a") -> CharacterMemory:
        return CharacterMemory(database, objects, Colours(salt), tmp_path / "index")

    return started


@pytest.fixture
def memory(start: Callable[..., CharacterMemory]) -> CharacterMemory:
    return start()
