"""Column types that mean the same on SQLite and on Postgres."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

Document = JSON().with_variant(JSONB(), "postgresql")
"""Any JSON value."""


class Moment(TypeDecorator[datetime]):
    """A time with its zone; SQLite keeps none, so everything is stored in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """ValueError for a time without a zone, which would mean something else elsewhere."""
        return None if value is None else _utc(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """On SQLite, the text that SQLAlchemy writes, made in a third of its time.

        A row often holds one moment several times: that is written out once.
        """
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)
        return _text

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The same moment, in UTC."""
        if value is None:
            return None
        known: datetime = value
        return known.replace(tzinfo=UTC) if known.tzinfo is None else known.astimezone(UTC)


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value} has no time zone; use datetime.now(UTC)")
    return value.astimezone(UTC)


@lru_cache(maxsize=64)
def _text(value: datetime | None) -> str | None:
    return (
        None if value is None else _utc(value).replace(tzinfo=None).isoformat(" ", "microseconds")
    )


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def new_id(kind: str) -> str:
    """A name that nobody else gives, such as `job_4f1c...`: 128 bits of chance."""
    return f"{kind}_{secrets.token_hex(16)}"
