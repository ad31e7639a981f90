"""A gateway over a painter that needs no engine: fast to start, and its pictures are known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from luciole.bundle import Bundle, Manifest, Sizes
from luciole.domain import RenderPlan
from luciole.engines import Engine
from luciole.engines.batcher import StepBatcher
from serving.bootstrap import configure_logging, prepare_state
from serving.demo.command import serving
from serving.gateway.app import create_app
from serving.gateway.drawing import Drawing, InProcess, Pixels
from serving.run import address_of, listening
from serving.settings import AuthChoice, Settings

SIZES = Sizes(default=128, min=64, max=256, stride=32, max_batch=8)
Serve = Callable[..., AbstractContextManager[str]]


class Painter:
    """Draws a plain field in the colour of its seed."""

    manifest = Manifest.model_construct(name="painter", source="0" * 64, sizes=SIZES)

    def check(self, plan: RenderPlan) -> None:
        SIZES.check("width", plan.width)
        SIZES.check("height", plan.height)

    def over(self, engine: Engine) -> "Painter":
        return self

    def render(self, plans: Sequence[RenderPlan]) -> list[Pixels]:
        return [
            np.full((plan.height, plan.width, 3), (plan.seed % 256, 99, 0), np.uint8)
            for plan in plans
        ]


class NoEngine:
    """What the painter never asks."""

    bundle, bank = Bundle(Path(), Painter.manifest), None

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        raise NotImplementedError

    def close(self) -> None: ...


@pytest.fixture(scope="session")
def painting() -> Iterator[Drawing]:
    batcher = StepBatcher(NoEngine())
    yield Drawing(Painter(), batcher, "painter", InProcess(), lambda: None)
    batcher.close()


@pytest.fixture(scope="session")
def easel(painting: Drawing) -> Serve:
    """Runs a real uvicorn over the painter for the time of a block; its address."""

    @contextmanager
    def run(state: Path, **changes: Any) -> Iterator[str]:
        settings = Settings(port=0, state_folder=state, log_level="ERROR").model_copy(
            update=changes
        )
        configure_logging(settings.log_level)
        prepare_state(settings)
        with listening(settings) as door:
            app = create_app(painting, settings)
            with serving(app, address_of(door), door) as address:
                yield address

    return run


@pytest.fixture(scope="session")
def open_easel(easel: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service for the owner of this machine."""
    with easel(tmp_path_factory.mktemp("open")) as address:
        yield address


@pytest.fixture(scope="session")
def guarded(easel: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A service that wants keys, and its state's folder."""
    state = tmp_path_factory.mktemp("guarded")
    with easel(state, auth=AuthChoice.KEYS) as address:
        yield address, state


def client(address: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=30)


@pytest.fixture(scope="session")
def admin(guarded: tuple[str, Path]) -> Iterator[httpx.Client]:
    """Who holds the first key."""
    address, state = guarded
    with client(address, (state / "admin.key").read_text()) as made:
        yield made
