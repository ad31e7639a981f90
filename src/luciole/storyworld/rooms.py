"""The three places indoors; the weather shows in a large window."""

import random

from luciole.storyworld.canvas import Canvas, Color, mix, shade
from luciole.storyworld.stage import Stage

_SHADES = [
    (204, 72, 72),
    (64, 120, 190),
    (236, 190, 80),
    (84, 150, 96),
    (150, 96, 170),
    (230, 226, 214),
]


def _room(stage: Stage, wall: Color, floor: Color) -> None:
    """Wall, floor and skirting."""
    canvas, h = stage.canvas, stage.horizon
    canvas.nearness = 0.1
    canvas.rect(-0.6, -0.6, stage.aspect + 0.6, 1.6, _inside(stage, wall))
    near = _inside(stage, floor)
    canvas.ground(h + 0.06, (shade(near, 0.86), near), 0.15, 0.75)
    canvas.rect(-0.6, h + 0.035, stage.aspect + 0.6, h + 0.065, _inside(stage, shade(wall, 1.5)))


def _inside(stage: Stage, color: Color) -> Color:
    """Rooms are lit by lamps at night and take a little of the day's colour otherwise."""
    if stage.time == "night":
        return mix(shade(color, 0.6), (255, 178, 84), 0.14)
    return mix(color, stage.color(color), 0.75)


def _window(stage: Stage, x: float, y: float, width: float, height: float) -> None:
    """Sky, sun or moon and weather behind a white frame."""
    canvas, light = stage.canvas, stage.light
    canvas.nearness = 0.05
    canvas.rect(
        x - 0.02, y - 0.02, x + width + 0.02, y + height + 0.02, _inside(stage, (250, 248, 244))
    )
    for k in range(6):
        share = k / 5
        color = (
            mix(light.sky[0], light.sky[1], share * 2)
            if share < 0.5
            else mix(light.sky[1], light.sky[2], share * 2 - 1)
        )
        canvas.rect(x, y + height * k / 6, x + width, y + height * (k + 1) / 6, color)
    land = (240, 246, 252) if stage.weather == "snow" else (88, 140, 84)
    canvas.rect(x, y + height * 0.82, x + width, y + height, stage.color(land))
    _outside(canvas, stage, x, y, width, height)
    frame = _inside(stage, (250, 248, 244))
    canvas.rect(x + width / 2 - 0.009, y, x + width / 2 + 0.009, y + height, frame)
    canvas.rect(x, y + height * 0.55 - 0.009, x + width, y + height * 0.55 + 0.009, frame)
    canvas.rect(x - 0.035, y + height + 0.015, x + width + 0.035, y + height + 0.045, frame)


def _outside(canvas: Canvas, stage: Stage, x: float, y: float, w: float, h: float) -> None:
    rng = random.Random(stage.rng.random())
    if stage.weather == "clear":
        canvas.ellipse(x + w * 0.3, y + h * 0.28, 0.045, 0.045, stage.light.glow)
        if stage.time == "night":
            canvas.ellipse(
                x + w * 0.3 + 0.02, y + h * 0.28 - 0.01, 0.036, 0.036, stage.light.sky[0]
            )
    elif stage.weather == "cloudy":
        white = mix(stage.light.sky[1], (255, 255, 255), 0.3 if stage.time == "night" else 0.6)
        for cx, cy, r in ((0.28, 0.3, 0.06), (0.5, 0.22, 0.075), (0.72, 0.3, 0.06)):
            canvas.ellipse(x + w * cx, y + h * cy, r, r * 0.72, white)
    elif stage.weather == "rain":
        for _ in range(16):
            px, py = x + w * rng.uniform(0.12, 0.98), y + h * rng.uniform(0.02, 0.78)
            canvas.stroke([(px, py), (px - 0.022, py + 0.075)], 0.009, (206, 226, 246))
    elif stage.weather == "snow":
        for _ in range(16):
            canvas.ellipse(
                x + w * rng.uniform(0.06, 0.94),
                y + h * rng.uniform(0.06, 0.9),
                0.013,
                0.013,
                (255, 255, 255),
            )
    else:
        for k in range(3):
            fy = y + h * (0.42 + 0.18 * k)
            canvas.rect(x, fy, x + w, fy + h * 0.13, mix(stage.light.sky[1], (236, 238, 242), 0.8))


def _lamp(stage: Stage, x: float, y: float) -> None:
    canvas = stage.canvas
    canvas.stroke([(x, y), (x, y - 0.12)], 0.012, _inside(stage, (110, 90, 80)))
    canvas.poly(
        [(x - 0.065, y - 0.1), (x + 0.065, y - 0.1), (x + 0.04, y - 0.2), (x - 0.04, y - 0.2)],
        (255, 232, 150) if stage.time == "night" else stage.color((250, 238, 214)),
    )


def draw_bedroom(stage: Stage) -> None:
    """A bed under a big window, a rug and a lamp."""
    canvas, h = stage.canvas, stage.horizon
    _room(stage, (206, 190, 228), (202, 158, 118))
    _window(stage, 0.06 * stage.aspect, h - 0.52, 0.34, 0.36)
    canvas.nearness = 0.35
    bx = stage.aspect * 0.6
    canvas.rect(bx, h - 0.16, bx + 0.5, h + 0.06, _inside(stage, (146, 98, 68)))
    canvas.rect(bx + 0.02, h - 0.03, bx + 0.6, h + 0.12, _inside(stage, (244, 244, 250)))
    canvas.rect(bx + 0.02, h + 0.02, bx + 0.6, h + 0.16, _inside(stage, (110, 150, 220)))
    canvas.ellipse(bx + 0.13, h - 0.03, 0.09, 0.045, _inside(stage, (255, 255, 255)))
    canvas.ellipse(stage.aspect * 0.45, h + 0.24, 0.36, 0.09, _inside(stage, (232, 150, 160)))
    _lamp(stage, bx - 0.06, h - 0.02)


def draw_cafe(stage: Stage) -> None:
    """A window, a menu board, a counter and a table with a cup."""
    canvas, h = stage.canvas, stage.horizon
    _room(stage, (240, 210, 168), (168, 112, 78))
    _window(stage, 0.05 * stage.aspect, h - 0.5, 0.36, 0.36)
    x = stage.aspect * 0.66
    canvas.rect(x, h - 0.52, x + 0.27, h - 0.3, _inside(stage, (58, 74, 66)))
    for k in range(3):
        canvas.rect(
            x + 0.03,
            h - 0.48 + k * 0.055,
            x + 0.2 - 0.03 * k,
            h - 0.463 + k * 0.055,
            (236, 236, 226),
        )
    canvas.nearness = 0.3
    canvas.rect(x - 0.03, h - 0.12, x + 0.6, h + 0.14, _inside(stage, (150, 88, 56)))
    canvas.rect(x - 0.05, h - 0.15, x + 0.6, h - 0.11, _inside(stage, (236, 222, 200)))
    for k in range(2):
        canvas.rect(
            x + 0.06 + 0.1 * k,
            h - 0.2,
            x + 0.11 + 0.1 * k,
            h - 0.15,
            _inside(stage, (250, 250, 250)),
        )
    canvas.nearness = 0.4
    tx = stage.aspect * 0.14
    canvas.rect(tx - 0.012, h + 0.02, tx + 0.012, h + 0.26, _inside(stage, (90, 70, 64)))
    canvas.ellipse(tx, h + 0.02, 0.15, 0.03, _inside(stage, (250, 240, 226)))
    canvas.rect(tx - 0.03, h - 0.04, tx + 0.02, h + 0.01, _inside(stage, (214, 80, 76)))


def draw_library(stage: Stage) -> None:
    """Shelves of books around a window."""
    canvas, h = stage.canvas, stage.horizon
    _room(stage, (150, 120, 92), (126, 84, 62))
    _window(stage, 0.06 * stage.aspect, h - 0.5, 0.32, 0.38)
    rng = stage.rng
    wood = _inside(stage, (112, 72, 48))
    x0, x1 = stage.aspect * 0.56, stage.aspect + 0.5
    canvas.nearness = 0.18
    canvas.rect(x0, h - 0.62, x1, h + 0.05, wood)
    for row in range(4):
        y = h - 0.6 + row * 0.16
        canvas.rect(x0 + 0.015, y, x1, y + 0.14, _inside(stage, (78, 50, 36)))
        x = x0 + 0.02
        while x < min(x1, stage.aspect + 0.2):
            width, tall = rng.uniform(0.028, 0.045), rng.uniform(0.09, 0.13)
            canvas.rect(
                x, y + 0.14 - tall, x + width, y + 0.14, _inside(stage, rng.choice(_SHADES))
            )
            x += width + 0.004
    _lamp(stage, stage.aspect * 0.46, h + 0.04)
