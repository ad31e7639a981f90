"""What routes work with, made when the app starts and found through each request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import HTTPConnection

from serving.gateway.accounts.accounts import Accounts
from serving.gateway.accounts.meter import Meter
from serving.gateway.addresses import Addresses
from serving.gateway.assets.shelf import Shelf
from serving.gateway.drawing import Drawing
from serving.gateway.encoding import Encoder
from serving.gateway.events.hub import Hub
from serving.gateway.renderer import Renderer
from serving.gateway.storyboards.boards import Boards
from serving.gateway.versions.history import History
from serving.jobs.ledger import Jobs
from serving.orchestration.characters.memory import CharacterMemory
from serving.settings import Settings


@dataclass(frozen=True)
class Parts:
    """The parts of one running gateway."""

    settings: Settings
    drawing: Drawing
    database: AsyncEngine
    renderer: Renderer
    encoder: Encoder
    jobs: Jobs
    shelf: Shelf
    addresses: Addresses
    hub: Hub
    accounts: Accounts
    meter: Meter
    characters: CharacterMemory | None
    boards: Boards
    history: History


async def parts_of(connection: HTTPConnection) -> Parts:
    """Those of the app that answers."""
    parts: Parts = connection.app.state.parts
    return parts


Its = Annotated[Parts, Depends(parts_of)]
