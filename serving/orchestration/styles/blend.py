"""Several styles in one picture: what a plan is told, and what to expect before it is drawn."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from luciole.domain import InvalidRequest, StyleUse
from serving.orchestration.styles import blocks
from serving.orchestration.styles.catalogue import Catalogue
from serving.orchestration.styles.interference import Interference, Verdict, interference

LOUD = 1.5
"""Intensities that add up to more are said to be."""


class BlendPart(BaseModel):
    """A style, how strongly, and how strongly in each block; without a weight, as its card says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    weight: Annotated[float, Field(ge=-2.0, le=2.0, allow_inf_nan=False)] | None = None
    blocks: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}


class Blended(BaseModel):
    """What goes into a plan, and what is known of it beforehand."""

    model_config = ConfigDict(frozen=True)

    styles: tuple[StyleUse, ...]
    triggers: dict[str, tuple[str, ...]]
    """Words that the prompt should hold, by style."""
    places: int
    most_places: int
    interference: tuple[Interference, ...]
    """Of every pair, the strongest first."""
    notices: tuple[str, ...] = ()


def blend(parts: tuple[BlendPart, ...], catalogue: Catalogue) -> Blended:
    """InvalidRequest for a style that is not here, is named twice, or makes the mix too large."""
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest("styles", f"names {name!r} twice; give it one weight")
    cards = {name: catalogue.card(name) for name in names}
    places = sum(card.places for card in cards.values())
    if places > catalogue.most_places:
        most = catalogue.most_places
        raise InvalidRequest("styles", f"need {places} places of the bank, a picture has {most}")
    uses = {}
    for part in parts:
        blocks.check(part.blocks)
        weight = cards[part.name].intensity if part.weight is None else part.weight
        uses[part.name] = StyleUse(name=blocks.variant(part.name, part.blocks), weight=weight)
    pairs = interference({name: catalogue.shape(use.name) for name, use in uses.items()})
    return Blended(
        styles=tuple(uses.values()),
        triggers={name: card.triggers for name, card in cards.items() if card.triggers},
        places=places,
        most_places=catalogue.most_places,
        interference=tuple(pairs),
        notices=tuple(_notices(uses, pairs)),
    )


def _notices(uses: Mapping[str, StyleUse], pairs: list[Interference]) -> list[str]:
    notices = [_notice(pair) for pair in pairs if pair.verdict is Verdict.STRONG]
    total = sum(abs(use.weight) for use in uses.values())
    if len(uses) > 1 and total > LOUD:
        notices.append(f"the intensities add up to {total:g}; pictures may burn out")
    return notices


def _notice(pair: Interference) -> str:
    both = f"{pair.first} and {pair.second}"
    if pair.agreement > 0:
        return f"{both} push alike; lower both, or keep one"
    return f"{both} change the same in different ways; expect one to win"
