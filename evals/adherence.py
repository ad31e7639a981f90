"""Prompt adherence: of the words in a prompt, how many are found in the picture?

The judge is a classifier trained on real renders alone. Its own accuracy on held-out renders of
the very same scenes is reported beside the model's, as the ceiling.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evals.prompts import MEASURED, HeldOutPrompt
from evals.sample import Images
from evals.statistics import Share
from luciole.storyworld import render

Judge = Callable[[Images], Mapping[str, Sequence[str]]]
"""Pictures `[n, height, width, 3]` to the value it sees of each attribute kind."""


class Promise(Protocol):
    """Whatever says what a picture is to show."""

    @property
    def promised(self) -> Mapping[str, str]:
        """The value of each measured kind."""
        ...


@dataclass(frozen=True)
class Adherence:
    """Shares by kind of attribute, and over all of them."""

    kinds: dict[str, Share]
    seen: tuple[dict[str, str], ...]
    """What the judge saw in each picture."""

    @property
    def overall(self) -> Share:
        """All measured words together."""
        return Share(
            sum(share.hits for share in self.kinds.values()),
            sum(share.count for share in self.kinds.values()),
        )

    def as_json(self) -> dict[str, object]:
        """For reports."""
        return {
            "overall": self.overall.as_json(),
            "by_kind": {kind: share.as_json() for kind, share in self.kinds.items()},
        }


def adherence(prompts: Sequence[Promise], pictures: Images, judge: Judge) -> Adherence:
    """Counts the promised words that the judge finds; one picture a prompt, in order."""
    if len(prompts) == 0 or len(prompts) != len(pictures):
        raise ValueError(f"pictures: {len(pictures)} for {len(prompts)} prompts; give one each")
    found = judge(pictures)
    shares = {}
    for kind in MEASURED:
        hits = [p.promised[kind] == found[kind][i] for i, p in enumerate(prompts)]
        shares[kind] = Share(sum(hits), len(hits))
    seen = tuple({kind: found[kind][i] for kind in MEASURED} for i in range(len(prompts)))
    return Adherence(shares, seen)


def real_pictures(prompts: Sequence[HeldOutPrompt], size: int) -> Images:
    """The renders that the prompts describe, for the judge's own accuracy."""
    return np.stack([render(p.scene, size, size, maps=False).image for p in prompts])
