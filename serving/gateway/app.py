"""The application: everything that a request passes through, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from serving.gateway import errors, health, prompts, styles
from serving.gateway.accounts import routes as accounts
from serving.gateway.assets import routes as assets
from serving.gateway.auth import routes as auth
from serving.gateway.auth.directory import Directory
from serving.gateway.auth.login import login_app
from serving.gateway.auth.provider import Provider
from serving.gateway.auth.state import authenticator, secret, welcome
from serving.gateway.backlog import Backlog
from serving.gateway.characters import routes as characters
from serving.gateway.drawing import Drawing
from serving.gateway.events import socket, stream
from serving.gateway.generations import routes as generations
from serving.gateway.health import Health, Readiness
from serving.gateway.images import routes as images
from serving.gateway.metrics import Metrics
from serving.gateway.middleware import BodyLimit, Observed
from serving.gateway.opening import opened
from serving.gateway.storyboards import routes as storyboards
from serving.gateway.versions import routes as versions
from serving.gateway.webhooks import routes as webhooks
from serving.settings import Settings
from serving.storage.database import open_database_async

TITLE, VERSION = "Luciole", version("luciole")
# The first are found first.
ROUTES = (
    images,
    generations,
    auth,
    health,
    assets,
    stream,
    socket,
    accounts,
    webhooks,
    characters,
    storyboards,
    versions,
    prompts,
    styles,
)
UPLOADS = (
    "/api/v1/assets",
    "/api/v1/characters/import",
    "/api/v1/characters/upload",
    "/v1/images/edits",
)
"""Where bodies may be as large as pictures."""


def described() -> dict[str, Any]:
    """The OpenAPI document: every route, whatever a service is wired to."""
    app = FastAPI(title=TITLE, version=VERSION)
    for routes in ROUTES:
        app.include_router(routes.router)
    return app.openapi()


def create_app(drawing: Drawing, settings: Settings) -> FastAPI:
    """Return a gateway over `drawing` and a state that is prepared.

    What it opens ends with the app; the engine does not.
    """
    metrics, database = Metrics(), open_database_async(settings.database)
    provider = Provider(settings.oidc_issuer) if settings.oidc_issuer else None
    access = authenticator(settings, Directory(database), provider)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await welcome(access.directory, settings)
        async with opened(drawing, database, settings, metrics) as parts:
            app.state.parts = parts
            metrics.watch("listeners", "To events, at this gateway", lambda: parts.hub.all)
            metrics.watch("queue_pictures", "Not yet drawn", lambda: parts.renderer.pending)
            yield

    app = FastAPI(title=TITLE, version=VERSION, lifespan=life)
    app.state.authenticator = access
    errors.install(app)
    for routes in ROUTES:
        # An included router looks for its route twice in every request.
        app.router.routes.extend(routes.router.routes)
    if provider is not None and settings.oidc_client_id is not None:
        seal = secret(settings.state_folder / "login.key").hex()
        app.mount("/auth", login_app(access, provider, settings, seal))
    readiness = Readiness(drawing, settings.ready_seconds, settings.ready_patience)
    app.state.health = Health(drawing, readiness, metrics, Backlog(database, metrics))
    metrics.watch("engine_calls", "Of the engine, since the start", lambda: drawing.batcher.calls)
    metrics.watch("engine_rows", "Rows of all calls together", lambda: drawing.batcher.rows)
    for name, value in (drawing.gauges or {}).items():
        metrics.watch(name, "Of the engine's supervisor", value)
    uploads = dict.fromkeys(UPLOADS, settings.upload_bytes)
    app.add_middleware(BodyLimit, most=settings.body_bytes, uploads=uploads)
    app.add_middleware(Observed, metrics=metrics)
    return app
