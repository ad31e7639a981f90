"""Several styles in one picture: what a plan is told, and what to expect before it is drawn."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from luciole.domain import InvalidRequest, PictureName, StyleStrategy, StyleUse
from serving.orchestration.styles import blocks
from serving.orchestration.styles.card import StyleCard
from serving.orchestration.styles.catalogue import Catalogue
from serving.orchestration.styles.interference import Interference, Verdict, interference

MOST_NAME = 100
"""Letters of a style's name in a plan."""
LOUD = 1.5
"""Intensities that add up to more are said to be."""


class BlendPart(BaseModel):
    """A style, how strongly, and how strongly in each block; without a weight, as its card says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    weight: Annotated[float, Field(ge=-2.0, le=2.0, allow_inf_nan=False)] | None = None
    blocks: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}
    mask: PictureName | None = None
    """White is where it acts, for the strategy `regional`."""


class Blended(BaseModel):
    """What goes into a plan, and what is known of it beforehand."""

    model_config = ConfigDict(frozen=True)

    styles: tuple[StyleUse, ...]
    style_strategy: StyleStrategy
    style_turn: int
    triggers: dict[str, tuple[str, ...]]
    """Words that the prompt should hold, by style."""
    places: int
    most_places: int
    interference: tuple[Interference, ...]
    """Of every pair, the strongest first."""
    notices: tuple[str, ...] = ()


def blend(
    parts: tuple[BlendPart, ...],
    catalogue: Catalogue,
    strategy: StyleStrategy = StyleStrategy.SUM,
    turn: int = 1,
) -> Blended:
    """InvalidRequest for a style that is not here, is named twice, or makes the mix too large.

    Also for one that cannot follow the strategy.
    """
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest("styles", f"names {name!r} twice; give it one weight")
    cards = {name: catalogue.card(name) for name in names}
    places = sum(card.places for card in cards.values())
    if places > catalogue.most_places:
        most = catalogue.most_places
        raise InvalidRequest("styles", f"need {places} places of the bank, a picture has {most}")
    _follow(parts, cards, strategy)
    uses = {}
    for part in parts:
        blocks.check(part.blocks)
        weight = cards[part.name].intensity if part.weight is None else part.weight
        uses[part.name] = _use(part, weight)
    pairs = interference({name: catalogue.shape(use.name) for name, use in uses.items()})
    return Blended(
        styles=tuple(uses.values()),
        style_strategy=strategy,
        style_turn=turn,
        triggers={name: card.triggers for name, card in cards.items() if card.triggers},
        places=places,
        most_places=catalogue.most_places,
        interference=tuple(pairs),
        notices=tuple(_notices(uses, pairs)) if strategy is StyleStrategy.SUM else (),
    )


def _use(part: BlendPart, weight: float) -> StyleUse:
    name = blocks.variant(part.name, part.blocks)
    if len(name) > MOST_NAME:
        raise InvalidRequest("blocks", f"of {part.name!r} are too many to be written in a plan")
    return StyleUse(name=name, weight=weight, mask=part.mask)


def _follow(
    parts: tuple[BlendPart, ...], cards: Mapping[str, StyleCard], strategy: StyleStrategy
) -> None:
    regional = strategy is StyleStrategy.REGIONAL
    if regional != any(part.mask is not None for part in parts):
        raise InvalidRequest("strategy", "regional and masks of styles need each other")
    for name, card in cards.items():
        if card.words and strategy is not StyleStrategy.SUM:
            words = f"{name!r} changes how words are understood, which only sum can do"
            raise InvalidRequest("strategy", words)


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
