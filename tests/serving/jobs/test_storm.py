"""A minute of kills: every accepted job ends once, is billed once, and leaves nothing behind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evals.bench.storm import Plan, free_port, storm
from evals.bench.storm import Site as Attacked
from evals.bench.storming.fleet import Part, Process
from evals.bench.storming.receivers import Heard, receiving
from tests.serving.jobs.zygote import Zygote

LIMITS = {"lease": 4.0, "poll": 0.1, "house": 0.5, "tries": 50, "grace": 2, "orphans": 8.0}


def parts(zygote: Zygote, site: Attacked, port: int, heard: Heard) -> list[Part]:
    folder = site.objects.parent
    environment = {
        "LUCIOLE_PORT": str(port),
        "LUCIOLE_STATE_FOLDER": str(folder),
        "LUCIOLE_DATABASE_URL": site.database,
        "LUCIOLE_LOG_LEVEL": "WARNING",
        "LUCIOLE_CREDENTIALS": "false",
        "LUCIOLE_RATE_UNITS": "1000000000",
        "LUCIOLE_STRIPE_KEY": "sk_test_storm",
        "LUCIOLE_STRIPE_URL": heard.address,
        "LUCIOLE_WEBHOOKS_INSIDE": "true",
    }
    places = [site.database, str(site.objects), str(folder / "notes"), json.dumps(LIMITS)]

    def start(name: str, *words: str) -> Callable[[], Process]:
        return lambda: zygote.start(name, *words, log=site.log, environment=environment)

    return [
        Part("api", start("api")),
        Part("worker 1", start("worker", *places), ("kill", "freeze")),
        Part("worker 2", start("worker", *places), ("kill", "freeze")),
        Part("sender", start("sender")),
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_minute_of_kills_loses_doubles_and_leaves_nothing(zygote: Zygote, tmp_path: Path) -> None:
    port = free_port()
    address, database = f"http://127.0.0.1:{port}", f"sqlite:///{tmp_path}/luciole.db"
    site = Attacked(address, database, tmp_path / "objects", tmp_path / "log")
    with receiving() as heard:
        attacked = parts(zygote, site, port, heard)
        plan = Plan(jobs=60, seconds=60, pause=3.0, seed=1)
        verdict, fleet, _ = storm(attacked, site, plan, heard)
    assert verdict.clean, f"{verdict}\n{site.log.read_text()[-5000:]}"
    assert sum(verdict.states.values()) == 60
    assert verdict.states["succeeded"] >= 40
    assert sum(fleet.blows.values()) >= 5
