"""`python -m serving worker` and `sender` as they are run: a real engine, real files."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from luciole.bundle import Bundle
from luciole.domain import RenderPlan, SolverName, Start
from luciole.domain.job import JobState
from serving.jobs.command import crew
from serving.settings import Settings
from serving.storage.assets import content
from serving.storage.objects import open_objects
from serving.storage.tables import AssetRow
from tests.serving.jobs.conftest import Site, opened, prepare
from tests.serving.jobs.zygote import Zygote


def drawn(seed: int, **more: object) -> RenderPlan:
    fields = {"prompt": "a girl in rain", "width": 64, "height": 64, "steps": 2, "seed": seed,
              "guidance_scale": 3, "solver": SolverName.EULER} | more  # fmt: skip
    return RenderPlan.model_validate(fields)


class Moderator(ThreadingHTTPServer):
    """A moderation service that finds all pictures as violent as it is told to, or is away."""

    verdict, away = 0.0, False


class Moderations(BaseHTTPRequestHandler):
    server: Moderator

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["content-length"]))
        score = self.server.verdict if b"image_url" in asked else 0.0
        answer = {"results": [{"category_scores": {"violence": score}}]}
        body = json.dumps(answer).encode()
        self.send_response(503 if self.server.away else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def moderator() -> Iterator[Moderator]:
    with Moderator(("127.0.0.1", 0), Moderations) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def manned(
    tiny_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
    zygote: Zygote,
    moderator: Moderator,
) -> Iterator[Site]:
    """A worker of the real program, on the tiny model, whose pictures are moderated."""
    folder = tmp_path_factory.mktemp("manned")
    environment = {
        "LUCIOLE_BUNDLE": str(tiny_bundle.path), "LUCIOLE_ENGINE": "onnx", "LUCIOLE_THREADS": "1",
        "LUCIOLE_STATE_FOLDER": str(folder), "LUCIOLE_LOG_LEVEL": "WARNING",
        "LUCIOLE_MODERATION_URL": f"http://127.0.0.1:{moderator.server_port}/v1",
    }  # fmt: skip
    url = f"sqlite:///{folder}/luciole.db"
    prepare(url)
    with opened(url, folder, zygote) as site:
        command = [sys.executable, "-m", "serving", "worker"]
        site.processes.append(subprocess.Popen(command, env=os.environ | environment))
        yield site


def test_the_real_worker_draws_signs_and_stores_and_a_picture_may_start_from_another(
    manned: Site,
) -> None:
    first = manned.draw(drawn(1), drawn(2))
    assert manned.ended(first, seconds=120).state == JobState.SUCCEEDED
    frames = manned.run(lambda jobs: jobs.frames("ada", first))
    again = drawn(3, start=Start(picture=frames[0].sha256, strength=0.5))
    second = manned.ended(manned.draw(again))
    assert (second.state, second.failure) == (JobState.SUCCEEDED, None)
    objects = open_objects((manned.folder / "objects").as_uri())
    file = content(manned.database, objects, frames[1].sha256)
    assert b"a girl in rain" in file
    assert b"c2pa" in file


def test_what_the_model_cannot_do_fails_in_its_words(manned: Site) -> None:
    job = manned.ended(manned.draw(drawn(1, styles=[{"name": "unheard-of", "weight": 1}])))
    assert (job.state, job.units) == (JobState.FAILED, 0)
    assert job.failure is not None
    assert job.failure.code == "invalid_request"
    assert "unheard-of" in job.failure.message


def test_a_picture_that_the_policy_refuses_is_neither_kept_nor_billed(
    manned: Site, moderator: Moderator
) -> None:
    manned.ended(manned.draw(drawn(10)), seconds=120)
    before = len(manned.rows(AssetRow))
    moderator.verdict = 1.0
    job = manned.ended(manned.draw(drawn(11)))
    moderator.verdict = 0.0
    assert (job.state, job.units) == (JobState.FAILED, 0)
    assert job.failure is not None
    assert job.failure.code == "image_unsafe"
    assert len(manned.rows(AssetRow)) == before


def test_a_judge_that_is_away_is_waited_for(manned: Site, moderator: Moderator) -> None:
    moderator.away = True
    job = manned.draw(drawn(12))
    manned.until(lambda: manned.job(job).state == JobState.RUNNING)
    time.sleep(0.5)
    assert manned.job(job).state == JobState.RUNNING
    moderator.away = False
    assert manned.ended(job).state == JobState.SUCCEEDED


def test_a_crew_is_started_and_stopped_with_its_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUCIOLE_STATE_FOLDER", str(tmp_path))
    prepare(f"sqlite:///{tmp_path}/luciole.db")
    with crew(Settings(workers=0, state_folder=tmp_path), {}) as nobody:
        assert nobody.processes == {}
    with crew(Settings(workers=1, state_folder=tmp_path), {}) as supervisor:
        while len(supervisor.processes) < 2:
            pass
        pids = list(supervisor.processes.values())
        assert set(supervisor.processes) == {"worker 0", "sender"}
    assert not [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]
