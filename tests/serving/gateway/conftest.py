"""A gateway over a painter that needs no engine: fast to start, and its pictures are known."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from luciole.bundle import Bundle, GraphSpec, Manifest, Sizes
from luciole.domain import RenderPlan
from luciole.engines import Engine
from luciole.engines.batcher import StepBatcher
from luciole.pictures import Pictures
from serving.bootstrap import configure_logging, prepare_state
from serving.demo.command import serving
from serving.gateway.app import create_app
from serving.gateway.auth.directory import Directory
from serving.gateway.auth.principal import EVERYTHING
from serving.gateway.drawing import Drawing, InProcess, Look, Pixels, Progress
from serving.orchestration.wording import Wording, WordingChoices
from serving.run import address_of, listening
from serving.settings import AuthChoice, Settings
from serving.storage.database import open_database_async
from tests.serving.gateway.words import bundle
from tests.serving.orchestration.characters.colours import Colours

SIZES = Sizes(default=128, min=64, max=256, stride=32, max_batch=8)
Serve = Callable[..., AbstractContextManager[str]]

GRAPHS = {
    name: GraphSpec(file="", inputs=(), outputs=())
    for name in ("vae_encoder", "denoiser_guided", "anchor_encoder")
}


class Painter:
    """Draws a plain field in the colour of its seed."""

    manifest = Manifest.model_construct(
        name="painter", source="0" * 64, sizes=SIZES, styles={}, files={}, graphs=GRAPHS
    )

    def check(self, plan: RenderPlan) -> None:
        SIZES.check("width", plan.width)
        SIZES.check("height", plan.height)

    def over(self, engine: Engine, pictures: Pictures | None = None) -> "Painter":
        return self

    def render(
        self,
        plans: Sequence[RenderPlan],
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> list[Pixels]:
        drawn = [
            np.full((plan.height, plan.width, 3), (plan.seed % 256, 99, 0), np.uint8)
            for plan in plans
        ]
        for step in range(1, plans[0].steps + 1):
            if look is not None:
                look(step, plans[0].steps, lambda: [picture // 2 for picture in drawn])
        return drawn


class NoEngine:
    """What the painter never asks."""

    bundle, bank = Bundle(Path(), Painter.manifest), None

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        raise NotImplementedError

    def close(self) -> None: ...


@pytest.fixture(scope="session")
def painter_manifest() -> Manifest:
    return Painter.manifest


@pytest.fixture(scope="session")
def no_engine() -> NoEngine:
    return NoEngine()


@pytest.fixture(scope="session")
def painting() -> Iterator[Drawing]:
    batcher = StepBatcher(NoEngine())
    yield Drawing(Painter(), batcher, "painter", InProcess(), lambda: None, seer=Colours())
    batcher.close()


@pytest.fixture(scope="session")
def easel(painting: Drawing) -> Serve:
    """Runs a real uvicorn over the painter for the time of a block; its address."""

    @contextmanager
    def run(state: Path, drawing: Drawing = painting, **changes: Any) -> Iterator[str]:
        settings = Settings(port=0, state_folder=state, log_level="ERROR").model_copy(
            update=changes
        )
        configure_logging(settings.log_level)
        prepare_state(settings)
        with listening(settings) as door:
            app = create_app(drawing, settings)
            with serving(app, address_of(door), door) as address:
                yield address

    return run


@pytest.fixture(scope="session")
def open_easel(easel: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service for the owner of this machine."""
    with easel(tmp_path_factory.mktemp("open")) as address:
        yield address


@pytest.fixture(scope="session")
def guarded(
    easel: Serve, painting: Drawing, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A service that wants keys and knows words, and its state's folder."""
    state = tmp_path_factory.mktemp("guarded")
    worded = replace(painting, wording=Wording.of(bundle(), WordingChoices()))
    with easel(state, worded, auth=AuthChoice.KEYS) as address:
        yield address, state


def client(address: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=30)


@pytest.fixture(scope="session")
def admin(guarded: tuple[str, Path]) -> Iterator[httpx.Client]:
    """Who holds the first key."""
    address, state = guarded
    with client(address, (state / "admin.key").read_text()) as made:
        yield made


WORKER = Path(__file__).parents[1] / "jobs" / "stub_worker.py"


@contextmanager
def working(state: Path, **limits: float) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process over the state of a gateway, while the block lasts."""
    chosen = {"lease": 5, "poll": 0.05, "house": 0.5, "tries": 3, "grace": 2} | limits
    places = [f"sqlite:///{state}/luciole.db", str(state / "objects"), str(state / "notes")]
    process = subprocess.Popen(
        [sys.executable, str(WORKER), *places, json.dumps(chosen)],
        env=os.environ | {"PYTHONPATH": "."},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def worker(guarded: tuple[str, Path]) -> Iterator[None]:
    """Draws the jobs of the guarded service, and signs what it makes of their frames."""
    with working(guarded[1], seal=True):
        yield


@pytest.fixture(scope="session")
def stranger(guarded: tuple[str, Path], admin: httpx.Client) -> Iterator[httpx.Client]:
    """Somebody of another tenant, who may do everything there."""
    address, state = guarded
    with client(address, asyncio.run(_issue(state, "stranger"))) as made:
        yield made


async def _issue(state: Path, tenant: str) -> str:
    database = open_database_async(f"sqlite:///{state}/luciole.db")
    directory = Directory(database)
    await directory.ensure_tenant(tenant, tenant)
    made = await directory.issue(tenant, "a key", EVERYTHING)
    await database.dispose()
    return made.secret


@pytest.fixture(scope="session")
def tiny_png() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (16, 16), (7, 0, 0)).save(target, "PNG")
    return target.getvalue()
