"""Draws until a character looks like itself, within a budget; says so when it never does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from luciole.domain import RenderPlan
from serving.orchestration.characters.crops import embed
from serving.orchestration.characters.encoder import Embeddings, Encoder
from serving.orchestration.pictures import Picture

Scores = dict[str, float]
"""Likeness of each character, -1 to 1."""
_LET_GO = 0.7
"""The most of a family's noise that stays when other noise is wanted."""


@dataclass(frozen=True)
class Retries:
    """A picture whose characters drift is drawn again with other noise, and the best is kept."""

    attempts: int = 1
    """At most; 1 draws once and only flags."""
    least: float = 0.0
    """Below this likeness a character has drifted."""


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


def draw_alike(
    plan: RenderPlan,
    draw: Callable[[RenderPlan], Picture],
    score: Callable[[Picture], Scores],
    retries: Retries,
) -> Attempt:
    """The first attempt in which everybody is like enough, or else the one with the best worst."""
    tried: list[tuple[float, RenderPlan, Picture, Scores]] = []
    for number in range(max(1, retries.attempts)):
        other = _varied(plan, number)
        picture = draw(other)
        scores = score(picture)
        tried.append((min(scores.values(), default=1.0), other, picture, scores))
        if tried[-1][0] >= retries.least:
            break
    _, chosen, picture, scores = max(tried, key=lambda one: one[0])
    drifted = tuple(name for name, found in scores.items() if found < retries.least)
    return Attempt(chosen, picture, scores, len(tried), drifted)


class ReferenceLikeness:
    """The cosine of a picture's part and the mean of a character's references."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def mean(self, references: list[Picture]) -> Embeddings:
        """What a part is compared with: one row of length 1."""
        total = embed(references, self._encoder).mean(axis=0, keepdims=True)
        unit: Embeddings = total / np.linalg.norm(total)
        return unit

    def score(self, picture: Picture, columns: tuple[int, int], mean: Embeddings) -> float:
        """Of the part between two pixel columns."""
        part = np.ascontiguousarray(picture[:, columns[0] : columns[1]])
        return float((embed([part], self._encoder) @ mean.T).item())


def _varied(plan: RenderPlan, number: int) -> RenderPlan:
    """Other noise of one's own; the head of a family lets some of its common noise go for it."""
    if number == 0:
        return plan
    changes: dict[str, Any] = {"seed": (plan.seed + number) % 2**63}
    if plan.family is not None:
        share = min(plan.family.share, _LET_GO)
        changes["family"] = plan.family.model_copy(update={"share": share})
    return plan.model_copy(update=changes)
