"""Reads the tables and the files after a storm: what must be so, and how often it is not."""

import hashlib
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from evals.bench.storming.clients import Accepted
from evals.bench.storming.receivers import Heard

ENDS = ("succeeded", "failed", "canceled", "expired")


@dataclass(frozen=True)
class Verdict:
    """`faults` must all be 0."""

    faults: dict[str, int]
    states: dict[str, int]
    codes: dict[str, int]
    """Of the jobs that failed."""

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or left behind."""
        return not any(self.faults.values())


def unsettled(connection: Connection) -> int:
    """Jobs that have not ended, and messages that have not arrived."""
    waiting = (
        "SELECT count(*) FROM jobs WHERE ended_at IS NULL",
        "SELECT count(*) FROM billing_outbox WHERE state = 'pending'",
        "SELECT count(*) FROM webhook_outbox WHERE state = 'pending'",
    )
    return sum(connection.scalar(text(asked)) or 0 for asked in waiting)


def settle(database: str, objects: Path, seconds: float) -> None:
    """Wait until all is done and swept, or nothing has changed for `seconds` seconds."""
    engine, until, before = create_engine(database), 0.0, -1
    try:
        while True:
            with engine.connect() as connection:
                left = unsettled(connection) + _unnamed(connection, objects)
            if left != before:
                before, until = left, time.monotonic() + seconds
            if left == 0 or time.monotonic() > until:
                return
            time.sleep(0.5)
    finally:
        engine.dispose()


def judge(database: str, objects: Path, accepted: Accepted, heard: Heard) -> Verdict:
    """Count every fault."""
    engine = create_engine(database)
    try:
        with engine.connect() as connection:
            faults = {
                "answers that no caller should get": len(accepted.refused) + accepted.given_up,
                "keys that brought another job": accepted.differed,
                **_jobs(connection, accepted),
                **_bills(connection, heard),
                **_files(connection, objects),
                "jobs without exactly one webhook": _webhooks(connection, heard),
            }
            states = connection.execute(text("SELECT state, count(*) FROM jobs GROUP BY state"))
            codes = connection.execute(
                text("SELECT error_code, count(*) FROM jobs WHERE error_code IS NOT NULL "
                     "GROUP BY error_code")
            )  # fmt: skip
            return Verdict(faults, dict(map(tuple, states)), dict(map(tuple, codes)))
    finally:
        engine.dispose()


def _jobs(connection: Connection, accepted: Accepted) -> dict[str, int]:
    rows = connection.execute(text("SELECT id, state, ended_at, total FROM jobs")).all()
    known = {row.id for row in rows}
    ends = Counter(
        row.job
        for row in connection.execute(text("SELECT job, type, data FROM job_events"))
        if row.type == "job.state" and any(f'"{end}"' in str(row.data).replace("'", '"')
                                           for end in ENDS)
    )  # fmt: skip
    frames = Counter(connection.scalars(text("SELECT job FROM job_frames")))
    return {
        "accepted jobs that are lost": len(set(accepted.jobs.values()) - known),
        "jobs that nobody was told of": len(known - set(accepted.jobs.values())),
        "jobs without exactly one end": sum(
            row.ended_at is None or row.state not in ENDS or ends[row.id] != 1 for row in rows
        ),
        "succeeded jobs that lack frames": sum(
            row.state == "succeeded" and frames[row.id] != row.total for row in rows
        ),
    }


def _bills(connection: Connection, heard: Heard) -> dict[str, int]:
    rows = connection.execute(text("SELECT id, state, cost, units FROM jobs")).all()
    asked = text("SELECT job, units FROM billing_outbox")
    bills = {row.job: row.units for row in connection.execute(asked)}
    wrong = 0
    for row in rows:
        due = row.units if row.state in {"succeeded", "canceled"} else 0.0
        billed = bills.pop(row.id, 0.0)
        whole = row.state != "succeeded" or abs((row.units or 0) - row.cost) < 1e-9
        wrong += not whole or due is None or abs(billed - due) > 1e-9
    asked = text("SELECT job, units FROM billing_outbox")
    metered = {row.job: max(1, round(row.units * 1000)) for row in connection.execute(asked)}
    both = metered.keys() | heard.meter.keys()
    return {
        "jobs billed wrongly": wrong + len(bills),
        "meter events that differ from the bills": sum(
            metered.get(job) != heard.meter.get(job) for job in both
        ),
    }


def _webhooks(connection: Connection, heard: Heard) -> int:
    jobs = connection.scalars(text("SELECT id FROM jobs"))
    return sum(len(heard.messages.get(job, ())) != 1 for job in jobs)


def _files(connection: Connection, objects: Path) -> dict[str, int]:
    rows = connection.execute(text("SELECT sha256, extension FROM assets")).all()
    altered = 0
    for row in rows:
        file = objects / "sha256" / row.sha256[:2] / f"{row.sha256}.{row.extension}"
        whole = file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == row.sha256
        altered += not whole
    unreferred = text(
        "SELECT count(*) FROM assets a WHERE NOT EXISTS "
        "(SELECT 1 FROM asset_refs r WHERE r.sha256 = a.sha256)"
    )
    return {
        "assets whose file is missing or altered": altered,
        "assets that nothing refers to": connection.scalar(unreferred) or 0,
        "files that no row names": _unnamed(connection, objects),
    }


def _unnamed(connection: Connection, objects: Path) -> int:
    named = set(connection.scalars(text("SELECT sha256 FROM assets")))
    return sum(file.stem not in named for file in (objects / "sha256").glob("*/*"))
