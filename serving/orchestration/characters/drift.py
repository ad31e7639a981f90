"""Draws until a character looks like itself, within a budget; says so when it never does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from luciole.domain import RenderPlan
from luciole.domain.storyboard import Retries
from serving.orchestration.characters.encoder import Encoder
from serving.orchestration.pictures import Picture

Scores = dict[str, float]
"""Likeness of each character, -1 to 1."""
_LET_GO = 0.7
"""The most of a family's noise that stays when other noise is wanted."""


@dataclass(frozen=True)
class Attempt:
    """The picture that was kept, and how it came about."""

    plan: RenderPlan
    picture: Picture
    scores: Scores
    attempts: int
    """That were made in all."""
    drifted: tuple[str, ...]
    """Who does not look like its references, for all the attempts."""


def settled(retries: Retries, encoder: Encoder | None) -> Retries:
    """With the encoder's own measure where none was asked for."""
    if retries.least is not None or encoder is None:
        return retries
    return retries.model_copy(update={"least": encoder.alike})


def draw_alike(
    plan: RenderPlan,
    draw: Callable[[RenderPlan], Picture],
    score: Callable[[Picture], Scores],
    retries: Retries,
) -> Attempt:
    """The first attempt in which everybody is like enough, or else the one with the best worst.

    `retries` are settled; what has no scores is like enough.
    """
    least = -1.0 if retries.least is None else retries.least
    tried: list[tuple[float, RenderPlan, Picture, Scores]] = []
    for number in range(retries.attempts):
        other = _varied(plan, number)
        picture = draw(other)
        scores = score(picture)
        tried.append((min(scores.values(), default=1.0), other, picture, scores))
        if tried[-1][0] >= least:
            break
    _, chosen, picture, scores = max(tried, key=lambda one: one[0])
    drifted = tuple(name for name, found in scores.items() if found < least)
    return Attempt(chosen, picture, scores, len(tried), drifted)


def _varied(plan: RenderPlan, number: int) -> RenderPlan:
    """Other noise of one's own; the head of a family lets some of its common noise go for it."""
    if number == 0:
        return plan
    changes: dict[str, Any] = {"seed": (plan.seed + number) % 2**63}
    if plan.family is not None:
        share = min(plan.family.share, _LET_GO)
        changes["family"] = plan.family.model_copy(update={"share": share})
    return plan.model_copy(update=changes)
