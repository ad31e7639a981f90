"""The names that DBOS knows us by, and its tables."""

import logging

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy.engine import make_url

WORKFLOW = "luciole.job"
QUEUE = "luciole.jobs"
APPLICATION = "luciole"
VERSION = "1"
"""Of the workflow's steps. It stays while jobs begun by the last release can be ended by this."""


def durable_url(url: str) -> str:
    """The database's URL as DBOS takes it."""
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    named = parsed.set(drivername="sqlite" if sqlite else "postgresql")
    return named.render_as_string(hide_password=False)


def migrate_durable(url: str) -> None:
    """Make or change the tables of DBOS."""
    quieten()
    DBOS.migrate(durable_url(url))


def client(url: str) -> DBOSClient:
    """For those who enqueue; it does not wait for a database that is away."""
    quieten()
    return DBOSClient(
        system_database_url=durable_url(url),
        serializer=DBOSPortableJSONSerializer(),
        application_name=APPLICATION,
        lazy=True,
        retry_connection_errors=False,
    )


def config(url: str, executor: str, threads: int) -> DBOSConfig:
    """For a worker of the given name."""
    return {
        "name": APPLICATION,
        "system_database_url": durable_url(url),
        "application_version": VERSION,
        "executor_id": executor,
        "serializer": DBOSPortableJSONSerializer(),
        "max_executor_threads": threads,
        "log_level": "WARNING",
    }


def quieten() -> None:
    """Let DBOS say only what somebody must act on."""
    logging.getLogger("dbos").setLevel(logging.WARNING)
