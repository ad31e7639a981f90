"""Opens what routes work with, and closes it when the app ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from serving.gateway.accounts.accounts import Accounts
from serving.gateway.accounts.meter import Meter
from serving.gateway.accounts.windows import Windows
from serving.gateway.addresses import Addresses
from serving.gateway.assets.pictures import ShelvedPictures
from serving.gateway.assets.shelf import Shelf
from serving.gateway.assets.signing import Signer
from serving.gateway.auth.state import secret
from serving.gateway.drawing import Drawing
from serving.gateway.encoding import encoder
from serving.gateway.events.hub import Hub
from serving.gateway.metrics import Metrics
from serving.gateway.parts import Parts
from serving.gateway.renderer import Limits, Renderer
from serving.gateway.storyboards.boards import Boards
from serving.gateway.versions.history import History
from serving.jobs import durable
from serving.jobs.feed import feeding
from serving.jobs.ledger import SqlJobs
from serving.orchestration.characters.memory import CharacterMemory
from serving.settings import Settings
from serving.storage.database import open_database
from serving.storage.objects import open_objects


@asynccontextmanager
async def opened(
    drawing: Drawing, database: AsyncEngine, settings: Settings, metrics: Metrics
) -> AsyncIterator[Parts]:
    """All parts over one database, for as long as the block lasts."""
    objects = open_objects(settings.objects)
    signer = Signer(secret(settings.state_folder / "urls.key"), settings.signed_seconds)
    renderer = Renderer(drawing, limits(settings), metrics, ShelvedPictures(objects))
    threads = open_database(settings.database)
    characters = None
    if drawing.seer is not None:
        folder = settings.state_folder / "characters"
        characters = CharacterMemory(threads, objects, drawing.seer, folder)
    client, meter = durable.client(settings.database), Meter(threads)
    redis = settings.redis_url.get_secret_value() if settings.redis_url else None
    windows = Windows(redis)
    writing = asyncio.create_task(meter.run(), name="meter")
    async with feeding(settings.database) as feed:
        jobs = SqlJobs(database, client, feed)
        hub = Hub(jobs)
        yield Parts(
            settings=settings,
            drawing=drawing,
            database=database,
            renderer=renderer,
            encoder=encoder(drawing.pipeline.manifest, settings),
            jobs=jobs,
            shelf=Shelf(database, objects, signer),
            addresses=Addresses(settings.public_url),
            hub=hub,
            accounts=Accounts(database, windows, settings),
            meter=meter,
            characters=characters,
            boards=Boards(database),
            history=History(database),
        )
        await hub.close()
    if characters is not None:
        await asyncio.to_thread(characters.close)
    renderer.close()
    await meter.close(writing)
    threads.dispose()
    await windows.close()
    client.destroy()
    await database.dispose()


def limits(settings: Settings) -> Limits:
    """Return the renderer's share of the settings."""
    return Limits(
        queue=settings.queue_pictures,
        at_once=settings.pictures_at_once,
        recovery=settings.recovery_seconds,
        request=settings.request_seconds,
    )
