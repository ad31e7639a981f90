"""The application: everything that a request passes through, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from serving.gateway import errors, health, images
from serving.gateway.drawing import Drawing
from serving.gateway.metrics import Metrics
from serving.gateway.middleware import BodyLimit, Observed
from serving.gateway.recent import RecentPictures
from serving.gateway.renderer import Limits, Renderer
from serving.settings import Settings


def create_app(drawing: Drawing, settings: Settings) -> FastAPI:
    """Return a gateway over `drawing`; its renderer ends with the app, the engine does not."""
    metrics = Metrics()
    renderer = Renderer(drawing, limits(settings), metrics)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        renderer.close()

    app = FastAPI(title="Luciole", lifespan=life)
    errors.install(app)
    app.include_router(images.routes(drawing, renderer, RecentPictures(settings.kept_pictures)))
    readiness = health.Readiness(drawing, settings.ready_seconds, settings.ready_patience)
    app.include_router(health.routes(drawing, readiness, metrics))
    metrics.watch("queue_pictures", "Accepted and not yet drawn", lambda: renderer.pending)
    metrics.watch("engine_calls", "Of the engine, since the start", lambda: drawing.batcher.calls)
    metrics.watch("engine_rows", "Rows of all calls together", lambda: drawing.batcher.rows)
    for name, value in (drawing.gauges or {}).items():
        metrics.watch(name, "Of the engine's supervisor", value)
    app.add_middleware(BodyLimit, most=settings.body_bytes)
    app.add_middleware(Observed, metrics=metrics)
    return app


def limits(settings: Settings) -> Limits:
    """Return the renderer's share of the settings."""
    return Limits(
        queue=settings.queue_pictures,
        at_once=settings.pictures_at_once,
        recovery=settings.recovery_seconds,
        request=settings.request_seconds,
    )
