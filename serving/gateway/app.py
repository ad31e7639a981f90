"""The application: everything that a request passes through, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from serving.gateway import errors, health, images
from serving.gateway.addresses import Addresses
from serving.gateway.assets import routes as assets
from serving.gateway.assets.shelf import Shelf
from serving.gateway.assets.signing import Signer
from serving.gateway.auth import routes as auth
from serving.gateway.auth.directory import Directory
from serving.gateway.auth.provider import Provider
from serving.gateway.auth.state import authenticator, secret, welcome
from serving.gateway.drawing import Drawing
from serving.gateway.events import socket, stream
from serving.gateway.events.hub import Hub
from serving.gateway.generations import routes as generations
from serving.gateway.metrics import Metrics
from serving.gateway.middleware import BodyLimit, Observed
from serving.gateway.parts import Parts
from serving.gateway.recent import RecentPictures
from serving.gateway.renderer import Limits, Renderer
from serving.jobs import durable
from serving.jobs.feed import feeding
from serving.jobs.ledger import SqlJobs
from serving.settings import Settings
from serving.storage.database import open_database_async
from serving.storage.objects import open_objects


def create_app(drawing: Drawing, settings: Settings) -> FastAPI:
    """Return a gateway over `drawing` and a state that is prepared.

    Its renderer and its connections end with the app, the engine does not.
    """
    metrics, database = Metrics(), open_database_async(settings.database)
    renderer = Renderer(drawing, limits(settings), metrics)
    provider = Provider(settings.oidc_issuer) if settings.oidc_issuer else None
    access = authenticator(settings, Directory(database), provider)
    signer = Signer(secret(settings.state_folder / "urls.key"), settings.signed_seconds)
    shelf = Shelf(database, open_objects(settings.objects), signer)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await welcome(access.directory, settings)
        client = durable.client(settings.database)
        async with feeding(settings.database) as feed:
            jobs = SqlJobs(database, client, feed)
            addresses = Addresses(settings.public_url)
            hub = Hub(jobs)
            app.state.parts = Parts(settings, drawing, database, jobs, shelf, addresses, hub)
            yield
            await hub.close()
        renderer.close()
        client.destroy()
        await database.dispose()

    app = FastAPI(title="Luciole", lifespan=life)
    app.state.authenticator = access
    errors.install(app)
    app.include_router(auth.routes(access))
    app.include_router(auth.well_known(access))
    app.include_router(generations.router)
    app.include_router(assets.router)
    app.include_router(stream.router)
    app.include_router(socket.router)
    app.include_router(images.routes(drawing, renderer, RecentPictures(settings.kept_pictures)))
    readiness = health.Readiness(drawing, settings.ready_seconds, settings.ready_patience)
    app.include_router(health.routes(drawing, readiness, metrics))
    metrics.watch("queue_pictures", "Accepted and not yet drawn", lambda: renderer.pending)
    metrics.watch("engine_calls", "Of the engine, since the start", lambda: drawing.batcher.calls)
    metrics.watch("engine_rows", "Rows of all calls together", lambda: drawing.batcher.rows)
    for name, value in (drawing.gauges or {}).items():
        metrics.watch(name, "Of the engine's supervisor", value)
    uploads = dict.fromkeys(("/api/v1/assets", "/v1/images/edits"), settings.upload_bytes)
    app.add_middleware(BodyLimit, most=settings.body_bytes, uploads=uploads)
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
