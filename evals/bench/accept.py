"""`python -m evals.bench.accept`: how many durable jobs the gateway accepts in a second.

Callers, each of a tenant of its own, keep a connection each and ask `POST /api/v1/generations` with
a new idempotency key, as fast as they are answered; then once more, all of one tenant, whose events
are numbered one after another. A 202 means that job, key, event and place in the queue are
committed: SQLite with `synchronous=FULL`, Postgres with its defaults (`fsync` and
`synchronous_commit` on). Gateway, database and callers share the machine. At the end the table
holds each accepted job once.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

from sqlalchemy import create_engine, text

from evals.bench.gateway import SERVER, Server, running
from evals.bench.postgres import programs, serving
from evals.bench.result import Figure, median, write

LIBRARIES = ("fastapi", "uvicorn", "dbos", "sqlalchemy", "psycopg", "aiosqlite")
BODY = {"prompt": "anime girl walking in rain", "size": {"width": 128, "height": 128}}
GOALS = {"SQLite": 40.0, "Postgres": 150.0}
CALLERS = 8
Rates = tuple[list[float], list[float]]
Measure = Callable[[Server, str], Rates]


class Callers:
    """Some threads, each with a connection and a key of its own."""

    def __init__(self, address: str, keys: Sequence[str]) -> None:
        self._place = urlsplit(address).netloc
        self._keys = iter(keys)
        self._own = threading.local()

    def ask(self, number: int) -> str:
        """Have one job accepted; its id."""
        if not hasattr(self._own, "connection"):
            self._own.connection = HTTPConnection(self._place, timeout=60)
            self._own.key = next(self._keys)
        connection: HTTPConnection = self._own.connection
        said = json.dumps(BODY | {"seeds": [number]})
        headers = {
            "Authorization": f"Bearer {self._own.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": uuid.uuid4().hex,
        }
        connection.request("POST", "/api/v1/generations", said, headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        if answer.status != 202:
            raise RuntimeError(f"{answer.status}: {told}")
        return str(told["jobId"])


def keys_of(gateway: Server, url: str, tenants: Sequence[str]) -> list[str]:
    """A key for each of the tenants, who are made where they are not there yet."""
    told = os.environ | {"PYTHONPATH": str(SERVER.parents[3]), "LUCIOLE_DATABASE_URL": url}
    said = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(SERVER), "keys", str(gateway.state), *tenants],
        env=told,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    made: list[str] = json.loads(said)
    return made


def rates(gateway: Server, url: str, rounds: int, jobs: int) -> Rates:
    """Jobs a second of each round: of many tenants, and of one."""
    accepted: list[str] = []
    many = [f"tenant {n}" for n in range(CALLERS)]
    found = []
    for tenants in (many, ["one"] * CALLERS):
        callers = Callers(str(gateway.client.base_url), keys_of(gateway, url, tenants))
        found.append(_rates(callers, rounds, jobs, accepted))
    _check(url, accepted)
    return found[0], found[1]


def _rates(callers: Callers, rounds: int, jobs: int, accepted: list[str]) -> list[float]:
    found = []
    with ThreadPoolExecutor(CALLERS) as pool:
        for turn in range(rounds + 1):
            began = time.perf_counter()
            accepted += pool.map(callers.ask, range(jobs))
            if turn > 0:  # the first warms up
                found.append(jobs / (time.perf_counter() - began))
    return found


def _check(url: str, accepted: list[str]) -> None:
    """RuntimeError if the table and the answers differ."""
    engine = create_engine(url)
    with engine.connect() as connection:
        asked = text("SELECT id FROM jobs WHERE kind = 'render'")
        kept = sorted(row.id for row in connection.execute(asked))
    engine.dispose()
    if kept != sorted(accepted):
        raise RuntimeError(f"{len(accepted)} were accepted, {len(kept)} are kept")


def sqlite(measure: Measure) -> Rates:
    """On a file of this machine."""
    with running("gateway") as gateway:
        return measure(gateway, f"sqlite:///{gateway.state}/luciole.db")


def postgres(measure: Measure) -> Rates:
    """On a server of this machine that writes through to its disk."""
    found = programs()
    if found is None:
        sys.exit("Postgres is not installed (Debian: apt-get install postgresql)")
    with serving(found, durable=True) as server:
        url = server.database("accept").replace("postgresql:", "postgresql+psycopg:")
        with running("gateway", LUCIOLE_DATABASE_URL=url) as gateway:
            return measure(gateway, url)


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=200)
    asked = parser.parse_args()
    figures = []
    for name, place in (("SQLite", sqlite), ("Postgres", postgres)):
        many, one = place(lambda gateway, url: rates(gateway, url, asked.rounds, asked.jobs))
        metric = f"durable jobs accepted, {name}"
        figures.append(Figure(metric, *median(many), "a second", GOALS[name], "higher", ""))
        metric = f"{metric}, one tenant"
        figures.append(Figure(metric, *median(one), "a second", None, "higher", ""))
    print(write("accept", figures, LIBRARIES, f"{CALLERS} callers. {__doc__}"))  # noqa: T201


if __name__ == "__main__":
    main()
