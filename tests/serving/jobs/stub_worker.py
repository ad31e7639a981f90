"""A real worker over an engine that only pretends: `python stub_worker.py DATABASE OBJECTS NOTES`.

Frames say in their prompt what shall happen, and every frame that is begun is a line of NOTES.
When the last frame had its first step is in `stepped` beside it. With `seal` among the limits,
sheets and animatics are signed as the gateway of the same state signs.
"""

import io
import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from luciole.domain import EngineBadOutput, EngineError, RenderPlan
from serving.gateway.credentials import authority
from serving.gateway.credentials.signing import Credentials
from serving.jobs.artist import Pixels, Watch
from serving.jobs.process import WorkerLimits, run_worker
from serving.jobs.storyboards import kinds
from serving.jobs.worker import Encoded, Studio
from serving.storage.database import open_database
from serving.storage.objects import open_objects


class Pretender:
    """Steps of 20 ms; the picture is the seed's colour."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._down = notes.with_name("down")
        self._stepped = notes.with_name("stepped")

    def draw(self, plan: RenderPlan, watch: Watch) -> Pixels:
        with self._notes.open("a") as file:
            file.write(f"{plan.prompt} {plan.seed} {os.getpid()}\n")
        pause = 0.2 if "slow" in plan.prompt else 0.02
        for step in range(plan.steps):
            if self._down.exists():
                raise EngineError("stub", "is down")
            time.sleep(pause)
            if "crash" in plan.prompt:
                os.kill(os.getpid(), signal.SIGKILL)
            if step == 0:
                self._stepped.write_text(str(time.time()))
            watch.step(step + 1, plan.steps)
            if watch.show is not None:
                watch.show(step + 1, plan.steps, lambda: painted(plan))
        if "nonsense" in plan.prompt:
            raise EngineBadOutput("pictures", "sample 0 is not finite")
        if "fault" in plan.prompt:
            raise ZeroDivisionError("a fault in our own code")
        return painted(plan)


def painted(plan: RenderPlan) -> Pixels:
    return np.full((plan.height, plan.width, 3), plan.seed % 256, np.uint8)


def encode(pixels: Pixels, plan: RenderPlan) -> Encoded:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG", compress_level=1)
    return Encoded(target.getvalue() + str(plan.seed).encode(), "image/png", "png")


def main(url: str, folder: str, notes: str, said: str) -> None:
    limits = json.loads(said)
    if "orphans" in limits:
        limits["orphans"] = timedelta(seconds=limits["orphans"])
    identity = Path(folder).with_name("credentials")
    seal = Credentials(authority.made(identity)) if limits.pop("seal", False) else None
    database, objects = open_database(url), open_objects(f"file://{folder}")
    known = kinds(database, objects, None)
    studio = Studio(Pretender(Path(notes)), encode, objects, known, seal)
    run_worker(url, database, studio, WorkerLimits(**limits))


if __name__ == "__main__":
    main(*sys.argv[1:])
