"""A database that went through every migration holds the tables of the code."""

import asyncio
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, insert, inspect, select, text

from luciole.domain import InvalidRequest
from serving.storage.database import open_database, open_database_async
from serving.storage.migrate import migrate
from serving.storage.tables import Row, TenantRow


@pytest.fixture
def database(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path}/service.db")


def test_the_migrations_lead_to_the_tables_of_the_code(database: Engine) -> None:
    migrate(database)
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []


def test_migrating_twice_and_from_several_threads_at_once_is_migrating_once(
    database: Engine,
) -> None:
    threads = [threading.Thread(target=migrate, args=(database,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inspect(database).has_table("jobs")
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


def test_sqlite_is_told_to_lose_nothing(database: Engine) -> None:
    with database.connect() as connection:
        said = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert said == {
        "journal_mode": "wal", "synchronous": 2, "busy_timeout": 30000, "foreign_keys": 1,
    }  # fmt: skip


async def _tenants(url: str) -> list[str]:
    engine = open_database_async(url)
    async with engine.begin() as connection:
        connection.sync_connection.execute  # noqa: B018
    async with engine.begin() as connection:
        await connection.execute(insert(TenantRow), {"id": "a", "name": "A"})
    async with engine.connect() as connection:
        names = (await connection.execute(select(TenantRow.id))).scalars().all()
    await engine.dispose()
    return list(names)


def test_the_event_loop_sees_the_same_database(database: Engine) -> None:
    migrate(database)
    assert asyncio.run(_tenants(str(database.url))) == ["a"]


def test_another_kind_of_database_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="database_url: is mysql"):
        open_database("mysql://somewhere/x")
