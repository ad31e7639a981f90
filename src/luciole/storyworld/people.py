"""Draws cartoon people: body, clothes, head, hair and accessories over an articulated pose."""

from collections.abc import Sequence
from dataclasses import dataclass

from luciole.storyworld.attributes import Actor, Identity
from luciole.storyworld.canvas import Canvas, Color, shade
from luciole.storyworld.heads import draw_hair_back, draw_head
from luciole.storyworld.light import lit
from luciole.storyworld.pose import KEYPOINTS, Body, Point

SKIN: dict[str, Color] = {
    "light": (255, 222, 196),
    "tan": (236, 186, 140),
    "brown": (176, 116, 78),
    "dark": (112, 72, 54),
}
CLOTH: dict[str, Color] = {
    "red": (218, 44, 50),
    "orange": (244, 132, 32),
    "yellow": (250, 216, 60),
    "green": (58, 164, 80),
    "blue": (46, 100, 216),
    "purple": (142, 70, 192),
    "white": (246, 246, 242),
    "black": (50, 48, 60),
}
_TROUSERS: tuple[Color, ...] = ((70, 82, 128), (106, 104, 114), (134, 104, 74))
_LONG_SLEEVES = frozenset({"coat", "hoodie"})
ARM, LEG, EDGE = 0.056, 0.07, 0.011


@dataclass(frozen=True)
class Stand:
    """Where a person is in the picture: feet, height in world units and the light on them."""

    x: float
    y: float
    height: float
    light: Color

    def at(self, point: Point) -> Point:
        """Body units to world coordinates."""
        return (self.x + point[0] * self.height, self.y + point[1] * self.height)


class Dresser:
    """Draws in body units with outlines; one per person."""

    def __init__(self, canvas: Canvas, stand: Stand) -> None:
        self.canvas, self.stand = canvas, stand

    def color(self, color: Color) -> Color:
        """The colour under this person's light."""
        return lit(color, self.stand.light)

    def shape(self, points: Sequence[Point], color: Color, edge: float = EDGE) -> None:
        """An outlined polygon."""
        placed = [self.stand.at(p) for p in points]
        if edge:
            dark = self.color(shade(color, 0.42))
            self.canvas.stroke([*placed, placed[0]], 2 * edge * self.stand.height, dark)
        self.canvas.poly(placed, self.color(color))

    def oval(
        self, center: Point, rx: float, ry: float, color: Color, edge: float = EDGE, tilt: float = 0
    ) -> None:
        """An outlined ellipse."""
        (x, y), h = self.stand.at(center), self.stand.height
        if edge:
            dark = self.color(shade(color, 0.42))
            self.canvas.ellipse(x, y, (rx + edge) * h, (ry + edge) * h, dark, tilt)
        self.canvas.ellipse(x, y, rx * h, ry * h, self.color(color), tilt)

    def line(self, points: Sequence[Point], width: float, color: Color, edge: float = EDGE) -> None:
        """An outlined stroke with round ends."""
        placed = [self.stand.at(p) for p in points]
        if edge:
            dark = self.color(shade(color, 0.42))
            self.canvas.stroke(placed, (width + 2 * edge) * self.stand.height, dark)
        self.canvas.stroke(placed, width * self.stand.height, self.color(color))


def draw_person(
    canvas: Canvas, actor: Actor, stand: Stand, body: Body
) -> list[tuple[float, float, float]]:
    """Draws one actor; returns 18 keypoints (x, y in final pixels, 1 where inside the picture)."""
    dresser = Dresser(canvas, stand)
    look = actor.identity
    far, near = ("right", "left") if actor.facing >= 0 else ("left", "right")
    draw_hair_back(dresser, look, body, actor.facing)
    if actor.action == "sitting":
        _draw_stool(dresser, body)
    if actor.action != "reading":
        _draw_arm(dresser, look, body, far)
    for side in (far, near):
        _draw_leg(dresser, look, body, side)
    _draw_torso(dresser, look, body)
    _draw_arm(dresser, look, body, near)
    if actor.action == "reading":
        _draw_arm(dresser, look, body, far)
        _draw_book(dresser, body)
    dresser.line([body.joints["neck"], body.head], 0.05, SKIN[look.skin], edge=0)
    draw_head(dresser, look, body, actor.facing, SKIN[look.skin])
    return [_keypoint(canvas, stand.at(body.joints[name])) for name in KEYPOINTS]


def _keypoint(canvas: Canvas, point: Point) -> tuple[float, float, float]:
    x, y = canvas.final(point)
    inside = 0 <= x < canvas.size[0] and 0 <= y < canvas.size[1]
    return (x, y, 1.0 if inside else 0.0)


def _trousers(look: Identity) -> Color:
    if look.outfit == "overalls":
        return CLOTH[look.outfit_color]
    return _TROUSERS[(len(look.hair_color) + len(look.skin) + len(look.accessory)) % 3]


def _draw_arm(dresser: Dresser, look: Identity, body: Body, side: str) -> None:
    shoulder, elbow, wrist = (body.joints[f"{side}_{j}"] for j in ("shoulder", "elbow", "wrist"))
    skin, cloth = SKIN[look.skin], CLOTH[look.outfit_color]
    sleeve = (245, 245, 248) if look.outfit == "overalls" else cloth
    dresser.line([shoulder, elbow, wrist], ARM * 0.86, skin)
    dresser.oval(wrist, 0.034, 0.034, skin)
    if look.outfit in _LONG_SLEEVES:
        cuff = _between(elbow, wrist, 0.8)
        dresser.line([shoulder, elbow, cuff], ARM * 1.12, sleeve)
    else:
        dresser.line([shoulder, _between(shoulder, elbow, 0.72)], ARM * 1.25, sleeve)


def _draw_leg(dresser: Dresser, look: Identity, body: Body, side: str) -> None:
    hip, knee, ankle = (body.joints[f"{side}_{j}"] for j in ("hip", "knee", "ankle"))
    skin = SKIN[look.skin]
    toe = 0.028 if ankle[0] >= knee[0] - 0.05 else -0.02
    dresser.oval((ankle[0] + toe * 0.6, ankle[1] - 0.008), 0.056, 0.032, (92, 62, 54))
    if look.outfit == "dress":
        dresser.line([hip, knee, ankle], LEG * 0.86, skin)
        dresser.line([_between(knee, ankle, 0.72), ankle], LEG * 0.95, (250, 250, 250))
    else:
        dresser.line([hip, knee, _between(knee, ankle, 0.9)], LEG * 1.1, _trousers(look))


def _draw_torso(dresser: Dresser, look: Identity, body: Body) -> None:
    cloth = CLOTH[look.outfit_color]
    left, right = body.joints["left_shoulder"], body.joints["right_shoulder"]
    if left[0] < right[0]:
        left, right = right, left
    hip_x, hip_y = body.hips
    waist_l, waist_r = (hip_x + 0.072, hip_y + 0.01), (hip_x - 0.072, hip_y + 0.01)
    top_l, top_r = (left[0] + 0.012, left[1] - 0.02), (right[0] - 0.012, right[1] - 0.02)
    neck = body.joints["neck"]
    chest = [top_r, (neck[0], neck[1] - 0.005), top_l, waist_l, waist_r]
    {"dress": _dress, "coat": _coat, "hoodie": _hoodie, "overalls": _overalls}.get(
        look.outfit, _shirt
    )(dresser, chest, body, cloth)


def _shirt(dresser: Dresser, chest: list[Point], body: Body, cloth: Color) -> None:
    hem = [
        (body.hips[0] + 0.082, body.hips[1] + 0.035),
        (body.hips[0] - 0.082, body.hips[1] + 0.035),
    ]
    dresser.shape([*chest[:3], *hem], cloth)
    _shadow(dresser, chest, cloth)


def _dress(dresser: Dresser, chest: list[Point], body: Body, cloth: Color) -> None:
    x, y = body.hips
    dresser.shape(
        [
            (x - 0.062, y - 0.08),
            (x + 0.062, y - 0.08),
            (x + 0.165, y + 0.165),
            (x, y + 0.185),
            (x - 0.165, y + 0.165),
        ],
        cloth,
    )
    dresser.shape([*chest[:3], (x + 0.064, y - 0.07), (x - 0.064, y - 0.07)], cloth)
    dresser.line([(x - 0.062, y - 0.07), (x + 0.062, y - 0.07)], 0.022, shade(cloth, 0.66), edge=0)
    dresser.line([(x - 0.05, y + 0.15), (x - 0.03, y)], 0.012, shade(cloth, 0.72), edge=0)
    dresser.line([(x + 0.07, y + 0.15), (x + 0.035, y)], 0.012, shade(cloth, 0.72), edge=0)


def _coat(dresser: Dresser, chest: list[Point], body: Body, cloth: Color) -> None:
    x, y = body.hips
    dresser.shape(
        [*chest[:3], (x + 0.082, y), (x + 0.12, y + 0.16), (x - 0.12, y + 0.16), (x - 0.082, y)],
        cloth,
    )
    neck = body.joints["neck"]
    dresser.line([(neck[0], neck[1] + 0.03), (x, y + 0.15)], 0.01, shade(cloth, 0.5), edge=0)
    light = (252, 232, 170)
    for share in (0.3, 0.55, 0.8):
        bx, by = neck[0] + (x - neck[0]) * share, neck[1] + (y - neck[1]) * share
        dresser.oval((bx + 0.028, by), 0.011, 0.011, light, edge=0.004)
    dresser.shape(
        [
            (neck[0] - 0.055, neck[1] - 0.01),
            (neck[0] + 0.055, neck[1] - 0.01),
            (neck[0], neck[1] + 0.075),
        ],
        shade(cloth, 0.72),
        edge=0.006,
    )


def _hoodie(dresser: Dresser, chest: list[Point], body: Body, cloth: Color) -> None:
    neck = body.joints["neck"]
    dresser.oval((neck[0], neck[1] - 0.005), 0.1, 0.05, shade(cloth, 0.8))
    _shirt(dresser, chest, body, cloth)
    x, y = body.hips
    dresser.shape(
        [
            (x - 0.045, y - 0.07),
            (x + 0.045, y - 0.07),
            (x + 0.06, y + 0.005),
            (x - 0.06, y + 0.005),
        ],
        shade(cloth, 0.8),
        edge=0.005,
    )
    for sign in (-1, 1):
        dresser.line(
            [(neck[0] + sign * 0.022, neck[1] + 0.02), (neck[0] + sign * 0.026, neck[1] + 0.1)],
            0.01,
            (250, 250, 250),
            edge=0,
        )


def _overalls(dresser: Dresser, chest: list[Point], body: Body, cloth: Color) -> None:
    _shirt(dresser, chest, body, (245, 245, 248))
    (x, y), neck = body.hips, body.joints["neck"]
    mid = (x + (neck[0] - x) * 0.6, y + (neck[1] - y) * 0.62)
    for sign in (-1, 1):
        dresser.line(
            [(mid[0] + sign * 0.048, mid[1]), (neck[0] + sign * 0.062, neck[1] + 0.01)],
            0.026,
            cloth,
        )
    dresser.shape(
        [
            (mid[0] - 0.062, mid[1]),
            (mid[0] + 0.062, mid[1]),
            (x + 0.088, y + 0.05),
            (x - 0.088, y + 0.05),
        ],
        cloth,
    )
    dresser.oval((mid[0], mid[1] + 0.05), 0.024, 0.02, shade(cloth, 0.7), edge=0.004)


def _shadow(dresser: Dresser, chest: list[Point], cloth: Color) -> None:
    (x0, y0), (x1, y1) = chest[2], chest[3]
    dresser.shape(
        [(x0 - 0.03, y0 + 0.03), (x0, y0 + 0.02), (x1 + 0.004, y1), (x1 - 0.036, y1)],
        shade(cloth, 0.8),
        edge=0,
    )


def _draw_stool(dresser: Dresser, body: Body) -> None:
    x, y = body.hips
    wood = (168, 112, 66)
    for sign in (-1, 1):
        dresser.line([(x + sign * 0.075, y + 0.08), (x + sign * 0.1, 0.0)], 0.03, shade(wood, 0.8))
    dresser.shape(
        [(x - 0.13, y + 0.045), (x + 0.13, y + 0.045), (x + 0.13, y + 0.09), (x - 0.13, y + 0.09)],
        wood,
    )


def _draw_book(dresser: Dresser, body: Body) -> None:
    right, left = body.joints["right_wrist"], body.joints["left_wrist"]
    x, y = (right[0] + left[0]) / 2, (right[1] + left[1]) / 2 - 0.02
    for sign in (-1, 1):
        cover = [
            (x, y + 0.035),
            (x + sign * 0.105, y + 0.012),
            (x + sign * 0.105, y - 0.088),
            (x, y - 0.06),
        ]
        dresser.shape(cover, (150, 48, 60))
        page = [
            (x, y + 0.012),
            (x + sign * 0.088, y - 0.006),
            (x + sign * 0.088, y - 0.08),
            (x, y - 0.055),
        ]
        dresser.shape(page, (252, 248, 234), edge=0)


def _between(a: Point, b: Point, share: float) -> Point:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
