"""Where in a picture each of several people is expected, as masks."""

from collections.abc import Mapping

import numpy as np

from luciole.domain.storyboard import Place
from serving.orchestration.pictures import Picture


def columns(places: Mapping[str, Place], width: int) -> dict[str, tuple[int, int]]:
    """From which pixel column to which each person has the picture; all of it when alone."""
    if len(places) == 1:
        return dict.fromkeys(places, (0, width))
    slots = ["left", "right"] if "middle" not in places.values() else ["left", "middle", "right"]
    edges = [round(width * k / len(slots)) for k in range(len(slots) + 1)]
    return {
        name: (edges[slots.index(place)], edges[slots.index(place) + 1])
        for name, place in places.items()
    }


def mask(between: tuple[int, int], width: int, height: int) -> Picture:
    """White in the columns, black elsewhere."""
    drawn = np.zeros((height, width, 3), np.uint8)
    drawn[:, between[0] : between[1]] = 255
    return drawn
