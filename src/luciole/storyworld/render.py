"""From a scene to a picture and its ground truth."""

import math
import random
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray

from luciole.storyworld.attributes import Scene
from luciole.storyworld.canvas import Canvas, Color, View
from luciole.storyworld.light import light_of
from luciole.storyworld.outdoors import (
    draw_beach,
    draw_desert,
    draw_forest,
    draw_mountains,
    draw_park,
    draw_rooftop,
    draw_street,
)
from luciole.storyworld.people import Stand, draw_person
from luciole.storyworld.pose import Body, Build, pose_body
from luciole.storyworld.rooms import draw_bedroom, draw_cafe, draw_library
from luciole.storyworld.stage import HORIZONS, Stage
from luciole.storyworld.weather import draw_falling

_PLACES = {
    "street": draw_street,
    "park": draw_park,
    "beach": draw_beach,
    "forest": draw_forest,
    "mountains": draw_mountains,
    "desert": draw_desert,
    "rooftop": draw_rooftop,
    "bedroom": draw_bedroom,
    "cafe": draw_cafe,
    "library": draw_library,
}
_FRAMING = {
    "extreme close-up": (3.3, 0.48, 1.5),
    "close-up": (1.9, 0.4, 1.3),
    "medium shot": (1.28, 0.3, 1.15),
    "full shot": (0.79, 0.93, 1.0),
    "wide shot": (0.52, 0.88, 0.95),
}
"""Shot size: a person's height and, in picture heights, the place of the head (close shots) or of
the feet (the last two), then the zoom of the place."""
_BUILDS = {
    "low angle": Build(head=0.9, legs=1.12),
    "high angle": Build(head=1.1, legs=0.86),
    "overhead": Build(head=1.25, legs=0.62),
}
_ROLL = math.radians(11)


@dataclass(frozen=True)
class Picture:
    """A picture and what is known about it.

    `depth` is nearness as depth estimators give it: 0 far, 1 near. `keypoints` are OpenPose's 18:
    x and y in pixels, 1 where the joint lies inside the picture.
    """

    image: UInt8[np.ndarray, "height width 3"]
    depth: Float[np.ndarray, "height width"] | None
    masks: Bool[np.ndarray, "people height width"] | None
    keypoints: Float[np.ndarray, "people 18 3"]


def render(scene: Scene, width: int = 128, height: int = 128, maps: bool = True) -> Picture:
    """Draws a scene at any size in pixels; `maps=False` leaves depth and masks out, for speed."""
    if width < 16 or height < 16:
        raise ValueError(f"width and height must be at least 16 pixels, not {width} x {height}")
    rng = random.Random(f"details-{scene.seed}-{scene.setting}")
    canvas = Canvas(width, height, maps, View())
    _draw_place(canvas, scene, rng)
    keypoints = _draw_people(canvas, scene)
    if not scene.indoors:
        canvas.set_view(View())
        draw_falling(canvas, scene.weather, scene.time == "night", rng)
    return Picture(
        image=canvas.finish(),
        depth=None
        if canvas.depth is None
        else canvas.map_of(canvas.depth).astype(np.float32) / 255,
        masks=None if canvas.people is None else _masks(canvas.map_of(canvas.people), scene),
        keypoints=np.array(keypoints, np.float32),
    )


def _roll(scene: Scene) -> float:
    if scene.angle != "dutch angle":
        return 0.0
    return _ROLL if scene.seed % 2 else -_ROLL


def _draw_place(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    zoom = _FRAMING[scene.shot][2]
    center = (canvas.aspect / 2, 0.5)
    stage = Stage(
        canvas=canvas,
        light=light_of(scene.time, scene.weather),
        weather=scene.weather,
        time=scene.time,
        horizon=HORIZONS[scene.angle],
        rng=rng,
    )
    canvas.set_view(View(zoom, _roll(scene), center))
    if not scene.indoors:
        stage.sky()
    _PLACES[scene.setting](stage)
    if scene.weather == "fog" and not scene.indoors:
        mist: Color = (96, 104, 132) if scene.time == "night" else (222, 224, 230)
        canvas.tint(mist, 0.55)


def _draw_people(canvas: Canvas, scene: Scene) -> list[list[tuple[float, float, float]]]:
    count = len(scene.actors)
    canvas.set_view(View(1.0, _roll(scene), (canvas.aspect / 2, 0.5)))
    light = light_of(scene.time, scene.weather).people
    build = _BUILDS.get(scene.angle, Build())
    keypoints = []
    for i, actor in enumerate(scene.actors):
        chance = random.Random(actor.jitter)
        body = pose_body(actor.action, actor.facing, actor.jitter, build)
        spread = 0.24 * (2 * i - 1) if count == 2 else chance.uniform(-0.06, 0.06)
        height = (
            _FRAMING[scene.shot][0] * (0.92 if count == 2 else 1.0) * chance.uniform(0.95, 1.04)
        )
        foot = _foot(scene, body, height) + (0.02 * i if count == 2 else 0.0)
        stand = Stand(canvas.aspect * 0.5 + spread, foot, height, light)
        canvas.person, canvas.nearness = i + 1, 0.82 + 0.05 * i
        _draw_shadow(canvas, stand, actor.action)
        keypoints.append(draw_person(canvas, actor, stand, body))
    canvas.person = 0
    return keypoints


def _foot(scene: Scene, body: Body, height: float) -> float:
    """Close shots hang the body from the head's place; the others stand it on the ground."""
    where = _FRAMING[scene.shot][1]
    if scene.shot in ("full shot", "wide shot"):
        return where
    return where - body.head[1] * height


def _draw_shadow(canvas: Canvas, stand: Stand, action: str) -> None:
    person, canvas.person = canvas.person, 0
    with canvas.picture_only():
        width = 0.16 if action != "jumping" else 0.1
        x, y = stand.at((0, 0.005))
        dark = tuple(round(v * 0.28) for v in stand.light)
        canvas.ellipse(x, y, width * stand.height, 0.03 * stand.height, (dark[0], dark[1], dark[2]))
    canvas.person = person


def _masks(people: NDArray[np.uint8], scene: Scene) -> NDArray[np.bool_]:
    return np.stack([people == i + 1 for i in range(len(scene.actors))])
