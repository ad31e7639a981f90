"""How much the people of a frame look like their references."""

from typing import Protocol

import numpy as np

from luciole.domain.character import Facet
from luciole.domain.shots import Shot
from luciole.domain.storyboard import Storyboard
from luciole.pictures import Pictures
from serving.orchestration.characters.crops import embed
from serving.orchestration.characters.drift import Scores
from serving.orchestration.characters.encoder import Embeddings, Encoder
from serving.orchestration.pictures import Picture
from serving.orchestration.scenes.regions import columns
from serving.orchestration.scenes.words import places_of


class Likeness(Protocol):
    """Says how much each character of a frame looks like its references, -1 to 1."""

    def __call__(self, shot: Shot, picture: Picture) -> Scores:
        """A score for everybody who has references; nothing where nobody has."""
        ...


def likeness_of(encoder: Encoder | None, storyboard: Storyboard, pictures: Pictures) -> Likeness:
    """Scores by an image encoder; none without one or where nobody has pictures."""
    if encoder is None or not any(
        member.pictures.get(Facet.IDENTITY) for member in storyboard.characters.values()
    ):
        return lambda *_: {}
    return FrameLikeness(encoder, storyboard, pictures)


class FrameLikeness:
    """The cosine between somebody's part of a frame and the mean of their identity's pictures.

    Of a part that is higher than wide the upper square counts: the head is there. Who has no
    pictures has no score.
    """

    def __init__(self, encoder: Encoder, storyboard: Storyboard, shelf: Pictures) -> None:
        self._encoder = encoder
        self._means = {
            name: _mean([shelf.open(one) for one in pictures], encoder)
            for name, member in storyboard.characters.items()
            if (pictures := member.pictures.get(Facet.IDENTITY))
        }

    def __call__(self, shot: Shot, picture: Picture) -> Scores:
        """-1 to 1 for everybody in the frame who has pictures."""
        between = columns(places_of(shot), picture.shape[1]) if shot.roles else {}
        names = [name for name in between if name in self._means]
        if not names:
            return {}
        parts = [upper(picture[:, slice(*between[name])]) for name in names]
        seen = embed(parts, self._encoder)
        return {
            name: round(float(row @ self._means[name]), 4)
            for name, row in zip(names, seen, strict=True)
        }


def upper(part: Picture) -> Picture:
    """A square, a little below the upper edge, of what is higher than wide; else all of it."""
    height, width = part.shape[:2]
    top = max(0, min(height // 16, height - width))
    side = width if height > width else height
    return np.ascontiguousarray(part[top : top + side])


def _mean(pictures: list[Picture], encoder: Encoder) -> Embeddings:
    total: Embeddings = embed(pictures, encoder).mean(axis=0)
    unit: Embeddings = total / np.linalg.norm(total)
    return unit
