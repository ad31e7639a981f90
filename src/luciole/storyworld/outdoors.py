"""The seven places under the sky."""

from luciole.storyworld.canvas import Color, shade
from luciole.storyworld.stage import Stage


def _snowy(stage: Stage, color: Color) -> Color:
    return (238, 244, 252) if stage.weather == "snow" else color


def draw_street(stage: Stage) -> None:
    """Houses with windows along a road."""
    canvas, rng, h = stage.canvas, stage.rng, stage.horizon
    walls = [(226, 168, 140), (196, 206, 222), (236, 214, 160), (174, 196, 176), (214, 176, 196)]
    rng.shuffle(walls)
    x, i = -0.3, 0
    while x < stage.aspect + 0.3:
        width, height = rng.uniform(0.22, 0.32), rng.uniform(0.34, 0.52)
        _house(stage, x, h - height, x + width, h + 0.04, walls[i % 5])
        x, i = x + width, i + 1
    canvas.nearness = 0.12
    stage.ground((150, 150, 158), (118, 118, 128))
    canvas.nearness = 0.15
    canvas.rect(-0.6, h, stage.aspect + 0.6, h + 0.06, stage.color(_snowy(stage, (206, 200, 192))))
    for k in range(-2, 7):
        x0 = k * 0.26 * stage.aspect
        canvas.rect(x0, h + 0.2, x0 + 0.13, h + 0.225, stage.color((244, 238, 220)))
    lamp = rng.choice((0.1, 0.9)) * stage.aspect
    canvas.stroke([(lamp, h + 0.06), (lamp, h - 0.34)], 0.016, stage.color((70, 72, 84)))
    canvas.ellipse(lamp, h - 0.36, 0.035, 0.035, stage.glow((240, 236, 220)))


def _house(stage: Stage, x0: float, y0: float, x1: float, y1: float, wall: Color) -> None:
    canvas = stage.canvas
    canvas.nearness = 0.12
    canvas.rect(x0, y0, x1, y1, stage.color(wall))
    canvas.rect(
        x0 - 0.01, y0 - 0.02, x1 + 0.01, y0 + 0.012, stage.color(_snowy(stage, shade(wall, 0.6)))
    )
    step = (x1 - x0) / 3
    pane = stage.glow((150, 184, 210))
    for row in range(3):
        for column in range(2):
            x, y = x0 + step * (column + 0.62), y0 + 0.06 + row * 0.13
            if y + 0.08 < y1 - 0.03:
                canvas.rect(x, y, x + step * 0.62, y + 0.075, pane)


def _tree(stage: Stage, x: float, base: float, size: float, leaf: Color) -> None:
    canvas = stage.canvas
    canvas.rect(
        x - 0.06 * size, base - 0.45 * size, x + 0.06 * size, base, stage.color((122, 84, 58))
    )
    leaf = _snowy(stage, leaf)
    for dx, dy, r, f in (
        (-0.24, -0.52, 0.26, 0.86),
        (0.24, -0.52, 0.26, 0.86),
        (0, -0.72, 0.34, 1.0),
    ):
        canvas.ellipse(
            x + dx * size, base + dy * size, r * size, r * size, stage.color(shade(leaf, f))
        )


def _pine(stage: Stage, x: float, base: float, size: float, leaf: Color) -> None:
    canvas = stage.canvas
    canvas.rect(
        x - 0.04 * size, base - 0.2 * size, x + 0.04 * size, base, stage.color((96, 66, 50))
    )
    for k in range(3):
        y, half = base - (0.12 + 0.25 * k) * size, (0.3 - 0.065 * k) * size
        color = shade(leaf, 0.86 + 0.1 * k)
        canvas.poly([(x - half, y), (x + half, y), (x, y - 0.42 * size)], stage.color(color))
        if stage.weather == "snow":
            canvas.poly(
                [
                    (x - half * 0.5, y - 0.21 * size),
                    (x + half * 0.5, y - 0.21 * size),
                    (x, y - 0.42 * size),
                ],
                stage.color((246, 250, 255)),
            )


def draw_park(stage: Stage) -> None:
    """Lawn, path, round trees and a bench."""
    canvas, rng, h = stage.canvas, stage.rng, stage.horizon
    canvas.nearness = 0.1
    for k in range(7):
        x = stage.aspect * k / 6
        canvas.ellipse(x, h, 0.13, 0.1, stage.color(_snowy(stage, (96, 160, 92))))
    stage.ground((134, 204, 104), (96, 178, 84))
    canvas.nearness = 0.25
    middle = stage.aspect * 0.5
    canvas.poly(
        [(middle - 0.03, h), (middle + 0.03, h), (middle + 0.42, 1.4), (middle - 0.42, 1.4)],
        stage.color((232, 210, 168)),
    )
    canvas.nearness = 0.3
    for side in (0.1, 0.92):
        _tree(
            stage,
            stage.aspect * side + rng.uniform(-0.04, 0.04),
            h + 0.1,
            rng.uniform(0.5, 0.62),
            (70, 158, 72),
        )
    bx, wood = stage.aspect * 0.72, stage.color((150, 92, 58))
    canvas.rect(bx, h + 0.06, bx + 0.2, h + 0.08, wood)
    canvas.rect(bx, h, bx + 0.2, h + 0.025, wood)
    for x in (bx + 0.02, bx + 0.17):
        canvas.rect(x, h + 0.06, x + 0.015, h + 0.13, wood)


def draw_beach(stage: Stage) -> None:
    """Sea, sand, a palm and a parasol."""
    canvas, rng, h = stage.canvas, stage.rng, stage.horizon
    canvas.nearness = 0.05
    canvas.rect(-0.6, h - 0.14, stage.aspect + 0.6, h + 0.05, stage.color((48, 142, 204)))
    for k in range(3):
        y = h - 0.11 + k * 0.05
        canvas.rect(-0.6, y, stage.aspect + 0.6, y + 0.01, stage.color((110, 190, 228)))
    stage.ground((246, 224, 168), (240, 206, 140))
    canvas.rect(-0.6, h, stage.aspect + 0.6, h + 0.018, stage.color((250, 250, 250)))
    canvas.nearness = 0.3
    left = rng.random() < 0.5
    px = stage.aspect * (0.12 if left else 0.88)
    canvas.stroke(
        [(px, h + 0.2), (px + 0.02, h - 0.05), (px + 0.05, h - 0.3)],
        0.035,
        stage.color((150, 104, 66)),
    )
    for dx, dy in ((-0.18, -0.02), (-0.13, -0.11), (0.02, -0.15), (0.14, -0.1), (0.19, 0.0)):
        top = (px + 0.05, h - 0.3)
        canvas.stroke(
            [top, (top[0] + dx * 0.6, top[1] + dy - 0.03), (top[0] + dx, top[1] + dy + 0.05)],
            0.035,
            stage.color((58, 150, 78)),
        )
    ux = stage.aspect * (0.84 if left else 0.16)
    canvas.stroke([(ux, h + 0.18), (ux, h - 0.12)], 0.014, stage.color((240, 240, 240)))
    for k, color in enumerate(((232, 72, 72), (250, 250, 250), (232, 72, 72))):
        a = ux - 0.15 + 0.1 * k
        canvas.poly([(a, h - 0.04), (a + 0.1, h - 0.04), (ux, h - 0.17)], stage.color(color))


def draw_forest(stage: Stage) -> None:
    """Pines, near and far."""
    canvas, rng, h = stage.canvas, stage.rng, stage.horizon
    canvas.nearness = 0.08
    for k in range(9):
        _pine(
            stage,
            stage.aspect * (k + rng.uniform(-0.2, 0.2)) / 8,
            h + 0.03,
            rng.uniform(0.5, 0.62),
            (52, 104, 84),
        )
    stage.ground((84, 122, 74), (62, 100, 60))
    for k, x in enumerate((-0.02, 0.2, 0.83, 1.03)):
        canvas.nearness = 0.3 + 0.05 * (k % 2)
        _pine(
            stage,
            stage.aspect * x,
            h + 0.14 + 0.05 * (k % 2),
            rng.uniform(0.78, 0.95),
            (40, 116, 74),
        )


def draw_mountains(stage: Stage) -> None:
    """Snow-capped peaks over a meadow."""
    canvas, rng, h = stage.canvas, stage.rng, stage.horizon
    canvas.nearness = 0.05
    for k, x in enumerate((0.15, 0.5, 0.86)):
        top, half = h - rng.uniform(0.34, 0.46), 0.34
        px = stage.aspect * x
        canvas.poly(
            [(px - half, h + 0.02), (px, top), (px + half, h + 0.02)],
            stage.color(((118, 128, 164), (100, 112, 150), (128, 136, 170))[k]),
        )
        cap = 0.32
        canvas.poly(
            [
                (px, top),
                (px + half * cap, top + (h - top) * cap),
                (px + 0.03, top + (h - top) * cap * 0.75),
                (px - 0.02, top + (h - top) * cap),
                (px - half * cap, top + (h - top) * cap),
            ],
            stage.color((248, 250, 255)),
        )
    canvas.nearness = 0.1
    for x in (0.2, 0.8):
        canvas.ellipse(
            stage.aspect * x, h + 0.08, 0.5, 0.12, stage.color(_snowy(stage, (122, 176, 96)))
        )
    stage.ground((142, 192, 104), (112, 168, 88))
    canvas.nearness = 0.4
    for _ in range(9):
        x, y = rng.uniform(0, stage.aspect), rng.uniform(h + 0.15, 1.0)
        canvas.ellipse(
            x, y, 0.014, 0.012, stage.color(((250, 220, 90), (250, 250, 250))[rng.random() < 0.5])
        )


def draw_desert(stage: Stage) -> None:
    """Dunes, red rocks and cacti."""
    canvas, rng, h = stage.canvas, stage.rng, stage.horizon
    canvas.nearness = 0.06
    rock = stage.color((188, 98, 66))
    mx = stage.aspect * rng.choice((0.2, 0.76))
    canvas.poly([(mx - 0.24, h), (mx - 0.18, h - 0.2), (mx + 0.14, h - 0.2), (mx + 0.22, h)], rock)
    canvas.poly([(mx + 0.1, h), (mx + 0.13, h - 0.12), (mx + 0.3, h - 0.12), (mx + 0.36, h)], rock)
    for x in (0.1, 0.65):
        canvas.ellipse(
            stage.aspect * x, h + 0.08, 0.45, 0.12, stage.color(_snowy(stage, (232, 168, 92)))
        )
    stage.ground((236, 176, 96), (222, 150, 76))
    for x, size in ((0.1, 1.0), (0.92, 0.8)):
        canvas.nearness = 0.3
        cx, base, green = stage.aspect * x, h + 0.16, stage.color((66, 140, 84))
        canvas.stroke([(cx, base), (cx, base - 0.3 * size)], 0.06 * size, green)
        for sign, y in ((-1, 0.12), (1, 0.17)):
            elbow = (cx + sign * 0.09 * size, base - y * size)
            canvas.stroke(
                [(cx, base - y * size), elbow, (elbow[0], elbow[1] - 0.1 * size)],
                0.04 * size,
                green,
            )


def draw_rooftop(stage: Stage) -> None:
    """A railing above the city's towers."""
    canvas, rng, h = stage.canvas, stage.rng, stage.horizon
    canvas.nearness = 0.05
    x = -0.3
    while x < stage.aspect + 0.3:
        width, height = rng.uniform(0.1, 0.18), rng.uniform(0.12, 0.36)
        tower = rng.choice(((96, 116, 158), (118, 132, 170), (84, 100, 140)))
        canvas.rect(x, h - height, x + width, h + 0.1, stage.color(tower))
        for y in (0.03, 0.08, 0.13):
            if y + 0.03 < height:
                canvas.rect(
                    x + 0.02,
                    h - height + y,
                    x + width - 0.03,
                    h - height + y + 0.018,
                    stage.glow((176, 196, 220)),
                )
        x += width + rng.uniform(0, 0.03)
    stage.ground((176, 166, 164), (154, 142, 142))
    canvas.nearness = 0.2
    rail = stage.color((232, 234, 240))
    canvas.rect(-0.6, h - 0.1, stage.aspect + 0.6, h - 0.08, rail)
    canvas.rect(-0.6, h + 0.02, stage.aspect + 0.6, h + 0.05, rail)
    for k in range(-6, 20):
        px = k * 0.1
        canvas.rect(px, h - 0.09, px + 0.014, h + 0.04, rail)
