"""Messages that were written with what they tell of, sent until they have arrived."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Engine, Row, select, update

from serving.stopping import StopSignals
from serving.storage.columns import now
from serving.storage.database import READING
from serving.storage.errors import StorageFull, StorageUnavailable
from serving.storage.tables import BillingOutboxRow, WebhookOutboxRow
from serving.storage.writing import storage_errors

AT_ONCE = 20
log = structlog.get_logger()


class Refused(Exception):
    """The receiver will never take this message."""


class NotNow(Exception):
    """It may take it later."""


@dataclass(frozen=True)
class Outbox:
    """A table of messages and the way to their receiver; times in seconds."""

    table: type[BillingOutboxRow] | type[WebhookOutboxRow]
    key: Any
    """The table's primary key."""
    send: Callable[[Row[Any]], None]
    """Refused or NotNow; a message may come twice, since a sender may be killed after sending."""
    pause: Callable[[int], float | None]
    """Until the next try, by the number of tries; None gives up."""
    hold: float = 30.0
    """How long a message is one sender's alone; longer than `send` can take."""


def deliver(database: Engine, outbox: Outbox) -> int:
    """Send what is due; returns how many messages were tried."""
    claimed = _claim(database, outbox)
    for message in claimed:
        outcome = _sent(outbox, message)
        with database.begin() as connection:
            one = update(outbox.table).where(outbox.key == message[0])
            connection.execute(one.values(**outcome))
    return len(claimed)


def run_sender(database: Engine, outboxes: Sequence[Outbox], look: float = 0.5) -> None:
    """Send until SIGTERM or SIGINT."""
    signals = StopSignals()
    while not signals.came:
        try:
            with storage_errors():
                tried = sum(deliver(database, outbox) for outbox in outboxes)
        except (StorageFull, StorageUnavailable) as error:
            log.warning("nothing is sent now", cause=error.code)
            tried = 0
        if not tried:
            signals.wait(look)


def _claim(database: Engine, outbox: Outbox) -> Sequence[Row[Any]]:
    """Take due messages for a while; whoever is killed meanwhile leaves them to the next."""
    table = outbox.table
    due: tuple[ColumnElement[bool], ...] = (table.state == "pending", table.due_at <= now())
    with database.connect() as connection:
        waiting = connection.execution_options(**READING)
        if waiting.scalar(select(outbox.key).where(*due).limit(1)) is None:
            return []
    with database.begin() as connection:
        asked = select(outbox.key, table).where(*due).order_by(table.due_at).limit(AT_ONCE)
        claimed = connection.execute(asked.with_for_update(skip_locked=True)).all()
        held = update(table).where(outbox.key.in_([message[0] for message in claimed]))
        until = now() + timedelta(seconds=outbox.hold)
        connection.execute(held.values(due_at=until, attempts=table.attempts + 1))
    return claimed


def _sent(outbox: Outbox, message: Row[Any]) -> dict[str, Any]:
    """What the row says after a try."""
    name = outbox.table.__tablename__
    try:
        outbox.send(message)
    except Refused as error:
        log.error("a message was refused", outbox=name, message=message[0], cause=str(error))
        return {"state": "refused", "error": str(error)}
    except NotNow as error:
        pause = outbox.pause(message.attempts + 1)
        log.warning("a message waits", outbox=name, message=message[0], again_in=pause)
        if pause is None:
            return {"state": "refused", "error": f"given up: {error}"}
        return {"due_at": now() + timedelta(seconds=pause), "error": str(error)}
    return {"state": "sent", "error": None}
