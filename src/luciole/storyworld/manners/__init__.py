"""How the world is drawn: the same scene in ink, watercolour, pixels, neon, pastel or in print."""

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from luciole.storyworld.attributes import Scene
from luciole.storyworld.manners.ink import ink
from luciole.storyworld.manners.neon import neon
from luciole.storyworld.manners.pastel import pastel
from luciole.storyworld.manners.pixel import pixel
from luciole.storyworld.manners.poster import poster
from luciole.storyworld.manners.watercolour import watercolour
from luciole.storyworld.render import Picture, render

Manner = Callable[[Picture, np.random.Generator], NDArray[np.uint8]]
"""A picture with its maps, and chance for paper and hand, to the picture as it is drawn then."""

MANNERS: dict[str, Manner] = {
    "ink": ink,
    "watercolour": watercolour,
    "pixel": pixel,
    "neon night": neon,
    "pastel": pastel,
    "poster": poster,
}


def drawn_in(
    manner: str, scene: Scene, width: int = 128, height: int = 128
) -> UInt8[np.ndarray, "height width 3"]:
    """The scene in a manner; the same scene gives the same picture."""
    if manner not in MANNERS:
        raise ValueError(f"manner: {manner!r} is unknown; there are {', '.join(MANNERS)}")
    rng = np.random.default_rng((scene.seed, 3))
    return MANNERS[manner](render(scene, width, height), rng)


def manners_version() -> str:
    """Hash of this folder's code without comments and layout, as `world_version` of the world."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(ast.dump(ast.parse(source.read_text())).encode())
    return digest.hexdigest()[:12]
