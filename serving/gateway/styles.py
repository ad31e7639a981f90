"""`/v1/styles`: what there is, how it looks, and what becomes of several together."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from luciole.domain import StyleStrategy
from serving.gateway.auth.needs import Reader
from serving.gateway.prompts import Worded
from serving.gateway.refusals import NotFound
from serving.orchestration.styles.blend import Blended, BlendPart, blend
from serving.orchestration.styles.card import StyleCard
from serving.orchestration.styles.catalogue import Refused

router = APIRouter(prefix="/v1/styles", tags=["styles"])


class StyleList(BaseModel):
    """All styles by name, and files that are not served with the reason."""

    data: list[StyleCard]
    refused: list[Refused]


class BlendForm(BaseModel):
    """What goes together."""

    model_config = ConfigDict(extra="forbid")

    styles: Annotated[tuple[BlendPart, ...], Field(min_length=1, max_length=8)]
    strategy: StyleStrategy = StyleStrategy.SUM
    turn: Annotated[int, Field(ge=1, le=200)] = 1
    """Steps that each style acts for before the next, with `switch`."""


@router.get("")
def styles(_: Reader, wording: Worded) -> StyleList:
    """List what can be asked for."""
    catalogue = wording.catalogue
    return StyleList(data=catalogue.cards(), refused=catalogue.refused())


@router.get("/{name}/preview")
def preview(name: str, _: Reader, wording: Worded) -> Response:
    """Show a picture in the style, where its maker gave one."""
    found = wording.catalogue.preview(name)
    if found is None:
        raise NotFound("name", f"{name!r} has no preview")
    content, kind = found
    return Response(content, media_type=kind)


@router.post("/blend")
def blended(form: BlendForm, _: Reader, wording: Worded) -> Blended:
    """Say what a plan is told, and how far the styles get in each other's way."""
    return blend(form.styles, wording.catalogue, form.strategy, form.turn)
