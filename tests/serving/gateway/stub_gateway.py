"""`python stub_gateway.py gateway|bare STATE`: the gateway over a painter, or FastAPI alone.

The gateway is as it is by default, with the content policy that comes along, and may be asked as
often as one likes. The bare one reads the same JSON into the same model, encodes the same picture
with the same encoder in a thread, writes the same JSON from the same models, and does nothing else.
LUCIOLE_CREDENTIALS=true lets both sign their pictures. With LUCIOLE_LOG_LEVEL=INFO both say a line
for each request: ours, and uvicorn's. The address is the first line of stdout.
`keys STATE TENANT...` prints a new key for each tenant.
"""

import asyncio
import base64
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image
from uvicorn.config import LOGGING_CONFIG

from luciole.bundle import Bundle, Manifest, Sizes
from luciole.domain import RenderPlan, SolverName
from luciole.engines import Engine
from luciole.engines.batcher import StepBatcher
from luciole.pictures import Pictures
from serving.bootstrap import configure_logging, prepare_state
from serving.gateway.app import create_app
from serving.gateway.auth.directory import Directory
from serving.gateway.auth.principal import EVERYTHING
from serving.gateway.drawing import Drawing, InProcess, Look, Pixels, Progress
from serving.gateway.encoding import Encoder, PictureFormat, encoder
from serving.gateway.images.answers import ImageDatum, ImagesResponse
from serving.gateway.images.form import ImagesRequest
from serving.orchestration.policy import SHIPPED, ContentPolicy, PolicyRules
from serving.run import Server, address_of, listening, server
from serving.settings import Settings
from serving.storage.database import open_database_async

SIZES = Sizes(default=128, min=64, max=2048, stride=32, max_batch=8)
MANIFEST = Manifest.model_construct(
    name="painter", source="0" * 64, sizes=SIZES, styles={}, files={}
)
PLAN = RenderPlan(prompt="a", width=128, height=128, steps=20, guidance_scale=3.5, seed=1,
                  solver=SolverName.DPMPP_2M)  # fmt: skip
PIXELS = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)


class Painter:
    """Has one picture, whatever is asked."""

    manifest = MANIFEST

    def check(self, plan: RenderPlan) -> None: ...

    def over(self, engine: Engine, pictures: Pictures | None = None) -> "Painter":
        return self

    def render(
        self,
        plans: Sequence[RenderPlan],
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> list[Pixels]:
        return [PIXELS for _ in plans]


class NoEngine:
    """What the painter never asks."""

    bundle, bank = Bundle(Path(), MANIFEST), None

    def run(self, graph: str, inputs: object) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def close(self) -> None: ...


def bare(settings: Settings) -> FastAPI:
    """One route."""
    app, files = FastAPI(), encoder(MANIFEST, settings)

    @app.post("/v1/images/generations", response_model_exclude_none=True)
    async def generate(asked: ImagesRequest) -> ImagesResponse:
        file = await asyncio.to_thread(files.file, PIXELS, PLAN)
        datum = ImageDatum(
            b64_json=base64.b64encode(file).decode(), revised_prompt=asked.prompt, seed=1
        )
        return ImagesResponse(
            created=int(time.time()),
            data=[datum],
            output_format=asked.form,
            quality=asked.told_quality,
            size="128x128",
            model="painter",
            engine="none",
            seconds=0.0,
        )

    return app


def encoding(rounds: int) -> dict[str, list[float]]:
    """How many times Pillow's default PNG costs what each of our files costs, in CPU."""
    sheet = Image.open(Path(__file__).parents[3] / "docs" / "contact-sheet.png").convert("RGB")
    image = sheet.resize((1024, 1024), Image.Resampling.LANCZOS)
    pixels, plain = np.asarray(image), Encoder(MANIFEST, None)
    ratios: dict[str, list[float]] = {form.upper(): [] for form in PictureFormat}
    for _ in range(rounds):
        default = cpu(lambda: image.save(io.BytesIO(), "PNG"))
        for form in PictureFormat:
            ours = cpu(lambda form=form: plain.file(pixels, PLAN, form))
            ratios[form.upper()].append(default / ours)
    return ratios


def cpu(act: Callable[[], object]) -> float:
    before = time.thread_time()
    act()
    return time.thread_time() - before


async def issued(settings: Settings, tenants: Sequence[str]) -> list[str]:
    """A key for each of these tenants, who are made where they are not there yet."""
    database = open_database_async(settings.database)
    directory = Directory(database)
    for tenant in tenants:
        await directory.ensure_tenant(tenant, tenant)
    made = [await directory.issue(tenant, "bench", EVERYTHING) for tenant in tenants]
    await database.dispose()
    return [one.secret for one in made]


def main(kind: str, state: str, *tenants: str) -> None:
    if kind == "encoding":
        print(json.dumps(encoding(int(state))))  # noqa: T201
        return
    settings = Settings(port=0, state_folder=Path(state), rate_requests=10**9, rate_units=10**9)
    configure_logging(settings.log_level)
    if kind == "keys":
        print(json.dumps(asyncio.run(issued(settings, tenants))))  # noqa: T201
        return
    prepare_state(settings)
    with listening(settings) as door:
        print(address_of(door), flush=True)  # noqa: T201
        running = bare_server(settings) if kind == "bare" else gateway(settings)
        running.run(sockets=[door])


def bare_server(settings: Settings) -> uvicorn.Server:
    if settings.log_level == "INFO":
        lines = deepcopy(LOGGING_CONFIG)
        lines["handlers"]["access"]["stream"] = "ext://sys.stderr"
        return uvicorn.Server(uvicorn.Config(bare(settings), log_config=lines))
    return uvicorn.Server(uvicorn.Config(bare(settings), log_config=None, access_log=False))


def gateway(settings: Settings) -> Server:
    wording: Any = SimpleNamespace(policy=ContentPolicy(PolicyRules.read(SHIPPED)))
    drawing = Drawing(Painter(), StepBatcher(NoEngine()), "painter", InProcess(), lambda: None,
                      wording=wording)  # fmt: skip
    return server(create_app(drawing, settings))


if __name__ == "__main__":
    main(*sys.argv[1:])
