"""`python -m evals.bench.storm`: kills parts of a running service while it is asked for work.

Callers ask over HTTP, with idempotency keys, until they are answered. Meanwhile API, workers,
senders and Triton are killed or frozen at random. At the end the tables, the files and what the
receivers of bills and webhooks heard must agree.
"""

import argparse
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from sqlalchemy import create_engine, text

from evals.bench.result import Figure, write
from evals.bench.storming.clients import Accepted, Clients
from evals.bench.storming.fleet import Blow, Fleet, Part, Process, program
from evals.bench.storming.receivers import Heard, receiving
from evals.bench.storming.verdict import Verdict, judge, settle

LIBRARIES = ("dbos", "sqlalchemy", "fastapi", "obstore", "stripe")
SECRET = "whsec_c3Rvcm1zdG9ybXN0b3Jtc3Rvcm0="  # noqa: S105 - it signs what only we read
PATIENCE = 180.0
"""Seconds without any change, when the killing is over, before the rest is called lost."""


@dataclass(frozen=True)
class Plan:
    """How much work, how long, how wild; times in seconds."""

    jobs: int
    seconds: float
    pause: float
    """Between two blows, on average."""
    seed: int


@dataclass(frozen=True)
class Site:
    """Where the attacked service keeps what it must not lose."""

    address: str
    database: str
    objects: Path
    log: Path


def storm(parts: list[Part], site: Site, plan: Plan, heard: Heard) -> tuple[Verdict, Fleet, float]:
    """The verdict, the fleet with its blows, and how long it took until all was settled."""
    chance = random.Random(plan.seed)
    with Fleet(parts) as fleet:
        fleet.wait(site.address)
        _subscribe(site.database, heard)
        began = time.monotonic()
        clients = Clients(site.address, plan.jobs, plan.seconds, chance.randrange(2**32))
        clients.start()
        while time.monotonic() < began + plan.seconds:
            time.sleep(chance.expovariate(1 / plan.pause))
            fleet.strike(chance)
        fleet.calm()
        accepted: Accepted = clients.join()
        settle(site.database, site.objects, PATIENCE)
        seconds = time.monotonic() - began
    return judge(site.database, site.objects, accepted, heard), fleet, seconds


def _subscribe(database: str, heard: Heard) -> None:
    """Make every tenant a customer with a webhook."""
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE tenants SET stripe_customer = 'cus_storm'"))
        connection.execute(
            text("INSERT INTO webhook_endpoints (id, tenant, url, secret, types, created_at) "
                 "SELECT 'we_' || id, id, :url, :secret, '[]', created_at FROM tenants"),
            {"url": f"{heard.address}/hook", "secret": SECRET},
        )  # fmt: skip
    engine.dispose()


def real_parts(bundle: Path, engine: str, site: Site, port: int, heard: Heard) -> list[Part]:
    """The service as it is run: an API, two workers and a sender."""
    folder = site.objects.parent
    environment = {
        "LUCIOLE_DATABASE_URL": site.database,
        "LUCIOLE_BUNDLE": str(bundle.resolve()),
        "LUCIOLE_ENGINE": engine,
        "LUCIOLE_THREADS": "1",
        "LUCIOLE_PORT": str(port),
        "LUCIOLE_STATE_FOLDER": str(folder),
        "LUCIOLE_TRITON_FOLDER": str(folder / "triton"),
        "LUCIOLE_LOG_LEVEL": "WARNING",
        "LUCIOLE_WORKERS": "0",
        "LUCIOLE_WORKER_TRIES": "20",
        "LUCIOLE_LEASE_SECONDS": "6",
        "LUCIOLE_ORPHAN_SECONDS": "20",
        "LUCIOLE_RATE_UNITS": "1000000000",
        "LUCIOLE_RATE_REQUESTS": "1000000000",
        "LUCIOLE_STRIPE_KEY": "sk_test_storm",
        "LUCIOLE_STRIPE_URL": heard.address,
        "LUCIOLE_WEBHOOKS_INSIDE": "true",
    }
    inside: tuple[Blow, ...] = () if engine == "onnx" else ("kill inside",)

    def start(command: str) -> Callable[[], Process]:
        words = [sys.executable, "-m", "serving", command]
        return lambda: program(words, environment, site.log)

    return [
        Part("api", start("up"), ("kill", *inside)),
        Part("worker 1", start("worker"), ("kill", "freeze", *inside)),
        Part("worker 2", start("worker"), ("kill", "freeze", *inside)),
        Part("sender", start("sender")),
    ]


def figures(verdict: Verdict, fleet: Fleet, seconds: float) -> list[Figure]:
    """What happened, then the faults, which must be none."""

    def figure(name: str, value: float, unit: str, goal: float | None) -> Figure:
        return Figure(
            name, value, value, value, unit, goal, "higher" if unit == "jobs" else "lower", ""
        )

    happened = [
        figure("jobs", sum(verdict.states.values()), "jobs", 200),
        *(figure(f"jobs {state}", n, "jobs", None) for state, n in sorted(verdict.states.items())),
        *(figure(f"blows: {blow}", n, "times", None) for blow, n in sorted(fleet.blows.items())),
        figure("until all was settled", round(seconds, 1), "s", None),
    ]
    return happened + [figure(name, n, "times", 0) for name, n in verdict.faults.items()]


def free_port() -> int:
    """One that nobody listens to."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def main() -> int:
    """Run a storm over the real service; status 1 if anything was lost, doubled or left."""
    asked = argparse.ArgumentParser(prog="python -m evals.bench.storm", description=__doc__)
    asked.add_argument("--bundle", type=Path, default=Path("out/bundle"))
    asked.add_argument("--engine", choices=["auto", "onnx", "triton"], default="auto")
    asked.add_argument("--database", help="postgresql://...; SQLite without it")
    asked.add_argument("--jobs", type=int, default=200)
    asked.add_argument("--minutes", type=float, default=4.0)
    asked.add_argument("--pause", type=float, default=3.0, help="seconds between two blows")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="storm.") as made, receiving() as heard:
        folder, port = Path(made), free_port()
        database = given.database or f"sqlite:///{folder}/luciole.db"
        site = Site(f"http://127.0.0.1:{port}", database, folder / "objects", folder / "log")
        parts = real_parts(given.bundle, given.engine, site, port, heard)
        plan = Plan(given.jobs, given.minutes * 60, given.pause, given.seed)
        verdict, fleet, seconds = storm(parts, site, plan, heard)
        Path("out").mkdir(exist_ok=True)
        Path("out/storm.log").write_bytes(site.log.read_bytes())
    note = f"{given.minutes:g} minutes of blows on {database.partition(':')[0]}"
    write("storm", figures(verdict, fleet, seconds), LIBRARIES, note)
    Console().print(verdict)
    return 0 if verdict.clean else 1


if __name__ == "__main__":
    sys.exit(main())
