"""Engines of SQLAlchemy over one URL: SQLite for a single machine, Postgres for more."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from luciole.domain import InvalidRequest

READING = {"reading": True}
"""Execution options of a connection that only reads: on SQLite it waits for no writer."""
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=30000",
    "foreign_keys=ON",
)


def open_database(url: str) -> Engine:
    """For threads: workers, senders, migrations. Nothing is connected yet."""
    engine = create_engine(_named(url, asynchronous=False), **_pool(url))
    _prepare(engine)
    return engine


def open_database_async(url: str) -> AsyncEngine:
    """For the event loop of the gateway. Nothing is connected yet."""
    engine = create_async_engine(_named(url, asynchronous=True), **_pool(url))
    _prepare(engine.sync_engine)
    return engine


def is_sqlite(url: str) -> bool:
    """Whether the database is a file of this machine."""
    return make_url(url).get_backend_name() == "sqlite"


def _named(url: str, asynchronous: bool) -> URL:
    """Choose the driver, so that one URL serves every part of the service."""
    parsed = make_url(url)
    drivers = {
        "sqlite": "sqlite+aiosqlite" if asynchronous else "sqlite+pysqlite",
        "postgresql": "postgresql+psycopg",
        "postgres": "postgresql+psycopg",
    }
    backend = parsed.drivername.partition("+")[0]
    if backend not in drivers:
        raise InvalidRequest("database_url", f"is {backend}:...; use sqlite: or postgresql:")
    return parsed.set(drivername=drivers[backend])


def _pool(url: str) -> dict[str, Any]:
    if is_sqlite(url):
        return {}
    return {
        # A restarted server is noticed before a connection is used.
        "pool_pre_ping": True,
        "pool_size": 10,
        "max_overflow": 20,
        # What a frozen process has locked is free again after half a minute.
        "connect_args": {"options": "-c idle_in_transaction_session_timeout=30000"},
    }


def _prepare(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy begins them
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        # A writer takes its lock at once: upgrading it later fails when another wrote meanwhile.
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
