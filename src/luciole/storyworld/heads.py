"""Faces, hair and what is worn on the head; coordinates are head radii about its centre."""

import math
from collections.abc import Sequence
from typing import Protocol

from luciole.storyworld.attributes import Identity
from luciole.storyworld.canvas import Color, shade
from luciole.storyworld.pose import Body, Point

HAIR: dict[str, Color] = {
    "black": (40, 36, 48),
    "brown": (116, 68, 38),
    "blonde": (246, 206, 92),
    "red": (208, 56, 36),
    "blue": (60, 104, 220),
    "pink": (248, 132, 182),
    "white": (238, 238, 244),
    "green": (58, 164, 92),
}
_INK: Color = (54, 40, 52)
# fmt: off
_BANGS = [
    (1.06, 0.3), (0.88, -0.02), (0.66, -0.4), (0.34, -0.1), (0.04, -0.44), (-0.3, -0.12),
    (-0.62, -0.42), (-0.88, -0.02), (-1.06, 0.3),
]
_MANE = [
    (-1.05, -0.4), (-0.6, -1.0), (0.6, -1.0), (1.05, -0.4), (1.3, 1.3), (1.12, 2.25), (0.4, 2.0),
    (-0.4, 2.1), (-1.12, 2.25), (-1.3, 1.3),
]
_PONYTAIL = [
    (0.6, -0.85), (1.3, -0.75), (1.85, 0.1), (1.75, 1.2), (1.4, 1.75), (1.25, 0.8), (0.8, 0.1),
]
_TWINTAIL = [
    (0.75, -0.6), (1.45, -0.7), (1.85, 0.3), (1.7, 1.3), (1.35, 1.8), (1.2, 0.9), (0.9, 0.1),
]
_TUFT = [(1.08, -0.1), (0.84, -0.1), (0.92, 0.42), (1.12, 0.3)]
# fmt: on
_LOCKS = {"long": 1.25, "twintails": 0.75, "ponytail": 0.6, "bun": 0.6}


class Brush(Protocol):
    """Draws outlined shapes in body units."""

    def shape(self, points: Sequence[Point], color: Color, edge: float = ...) -> None:
        """An outlined polygon."""

    def oval(
        self,
        center: Point,
        rx: float,
        ry: float,
        color: Color,
        edge: float = ...,
        tilt: float = ...,
    ) -> None:
        """An outlined ellipse."""

    def line(self, points: Sequence[Point], width: float, color: Color, edge: float = ...) -> None:
        """An outlined stroke."""


class Skull:
    """Head coordinates: x and y in head radii, turned by the head's tilt."""

    def __init__(self, body: Body) -> None:
        self.r, self.tilt = body.head_radius, body.tilt
        self._center = body.head
        self._cos, self._sin = math.cos(body.tilt), math.sin(body.tilt)

    def at(self, x: float, y: float) -> Point:
        """Head radii to body units."""
        dx, dy = x * self.r, y * self.r
        return (
            self._center[0] + dx * self._cos - dy * self._sin,
            self._center[1] + dx * self._sin + dy * self._cos,
        )

    def path(self, points: Sequence[Point]) -> list[Point]:
        """Several points at once."""
        return [self.at(x, y) for x, y in points]


def draw_hair_back(brush: Brush, look: Identity, body: Body, facing: int) -> None:
    """The hair behind head and body."""
    skull, color = Skull(body), HAIR[look.hair_color]
    dark = shade(color, 0.82)
    away = -1 if facing > 0 else 1
    if look.hair_style == "long":
        brush.shape(skull.path(_MANE), dark)
    elif look.hair_style == "ponytail":
        brush.shape(skull.path(_mirrored(_PONYTAIL, away)), dark)
    elif look.hair_style == "twintails":
        for side in (-1, 1):
            brush.shape(skull.path(_mirrored(_TWINTAIL, side)), dark)
    elif look.hair_style == "bun":
        brush.oval(skull.at(0, -1.22), skull.r * 0.46, skull.r * 0.42, color)
    elif look.hair_style == "curly":
        for i in range(9):
            angle = math.radians(150 + i * 30)
            x, y = math.cos(angle) * 1.05, math.sin(angle) * 1.0 + 0.05
            brush.oval(skull.at(x, y), skull.r * 0.46, skull.r * 0.46, dark)


def draw_head(brush: Brush, look: Identity, body: Body, facing: int, skin: Color) -> None:
    """Head, face, the hair in front and the accessory."""
    skull, color = Skull(body), HAIR[look.hair_color]
    r = skull.r
    for sign in (-1, 1):
        brush.oval(skull.at(sign * 0.95, 0.18), r * 0.17, r * 0.22, skin)
    brush.oval(skull.at(0, 0), r * 0.94, r, skin, tilt=skull.tilt)
    _draw_face(brush, skull, look, facing, skin)
    _draw_fringe(brush, skull, look, color)
    {"glasses": _glasses, "hat": _hat, "scarf": _scarf, "headphones": _headphones}.get(
        look.accessory, _nothing
    )(brush, skull, facing)


def _draw_face(brush: Brush, skull: Skull, look: Identity, facing: int, skin: Color) -> None:
    r, turn = skull.r, 0.26 * facing
    for sign in (-1, 1):
        x = turn + sign * 0.38
        brush.oval(skull.at(x, 0.15), r * 0.15, r * 0.22, _INK, edge=0, tilt=skull.tilt)
        brush.oval(skull.at(x + 0.05, 0.07), r * 0.06, r * 0.08, (255, 255, 255), edge=0)
        brush.oval(
            skull.at(turn * 1.1 + sign * 0.58, 0.46), r * 0.15, r * 0.09, _blush(skin), edge=0
        )
        if look.person == "girl":
            brush.line(skull.path([(x - 0.16, 0.0), (x + 0.16, 0.0)]), r * 0.08, _INK, edge=0)
        else:
            brush.line(skull.path([(x - 0.17, -0.2), (x + 0.17, -0.2)]), r * 0.1, _INK, edge=0)
    mouth = [(turn * 1.2 - 0.16, 0.56), (turn * 1.2, 0.63), (turn * 1.2 + 0.16, 0.56)]
    brush.line(skull.path(mouth), r * 0.08, (150, 50, 56), edge=0)


def _blush(skin: Color) -> Color:
    return (min(255, skin[0] + 8), round(skin[1] * 0.78), round(skin[2] * 0.78))


def _draw_fringe(brush: Brush, skull: Skull, look: Identity, color: Color) -> None:
    arc = [
        (math.cos(math.radians(a)) * 1.08, math.sin(math.radians(a)) * 1.14 + 0.05)
        for a in range(180, 361, 15)
    ]
    r, style = skull.r, look.hair_style
    if style in _LOCKS:
        for side in (-1, 1):
            brush.shape(skull.path(_mirrored(_lock(_LOCKS[style]), side)), color)
    brush.shape(skull.path([*arc, *_BANGS]), color)
    shine = skull.path([(-0.62, -0.66), (-0.25, -0.84), (0.2, -0.84)])
    brush.line(shine, r * 0.1, shade(color, 1.35), edge=0)
    if style == "curly":
        for i in range(7):
            angle = math.radians(190 + i * 27)
            curl = skull.at(math.cos(angle) * 0.92, math.sin(angle) * 0.92)
            brush.oval(curl, r * 0.3, r * 0.3, color, edge=0.006)
    elif style == "short":
        for side in (-1, 1):
            brush.shape(skull.path(_mirrored(_TUFT, side)), color)


def _lock(length: float) -> list[Point]:
    """A strand before the ear, `length` head radii down."""
    return [
        (1.06, -0.2),
        (0.78, -0.2),
        (0.82, length * 0.7),
        (0.98, length),
        (1.12, length * 0.6),
    ]


def _mirrored(points: Sequence[Point], side: int) -> list[Point]:
    return [(side * x, y) for x, y in points]


def _nothing(brush: Brush, skull: Skull, facing: int) -> None:
    """No accessory."""


def _glasses(brush: Brush, skull: Skull, facing: int) -> None:
    r, turn, frame = skull.r, 0.26 * facing, (34, 34, 44)
    for sign in (-1, 1):
        ring = [
            (
                turn + sign * 0.4 + 0.3 * math.cos(a * math.tau / 14),
                0.15 + 0.3 * math.sin(a * math.tau / 14),
            )
            for a in range(15)
        ]
        brush.line(skull.path(ring), r * 0.11, frame, edge=0)
    brush.line(skull.path([(turn - 0.1, 0.12), (turn + 0.1, 0.12)]), r * 0.1, frame, edge=0)


def _hat(brush: Brush, skull: Skull, facing: int) -> None:
    straw = (232, 192, 110)
    dome = [(-0.86, -0.5), (-0.8, -1.1), (-0.4, -1.42), (0.4, -1.42), (0.8, -1.1), (0.86, -0.5)]
    brush.shape(skull.path(dome), straw)
    brush.shape(
        skull.path([(-0.88, -0.52), (-0.86, -0.8), (0.86, -0.8), (0.88, -0.52)]),
        (196, 62, 60),
        edge=0,
    )
    brush.oval(skull.at(0, -0.48), skull.r * 1.5, skull.r * 0.24, straw, tilt=skull.tilt)


def _scarf(brush: Brush, skull: Skull, facing: int) -> None:
    wool = (216, 70, 110)
    brush.line(skull.path([(-0.52, 1.1), (0, 1.22), (0.52, 1.1)]), skull.r * 0.42, wool)
    brush.line(skull.path([(0.36, 1.25), (0.46, 2.1)]), skull.r * 0.34, wool)
    brush.line(skull.path([(0.4, 1.62), (0.5, 1.6)]), skull.r * 0.26, (250, 240, 240), edge=0)


def _headphones(brush: Brush, skull: Skull, facing: int) -> None:
    arc = [
        (math.cos(math.radians(a)) * 1.14, math.sin(math.radians(a)) * 1.2 + 0.05)
        for a in range(185, 356, 17)
    ]
    brush.line(skull.path(arc), skull.r * 0.14, (70, 72, 84), edge=0.006)
    for sign in (-1, 1):
        brush.oval(
            skull.at(sign * 1.08, 0.16),
            skull.r * 0.24,
            skull.r * 0.34,
            (28, 190, 184),
            tilt=skull.tilt,
        )
