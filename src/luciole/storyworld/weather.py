"""What the weather puts between the viewer and the scene."""

import random

from luciole.storyworld.canvas import Canvas, Color


def draw_falling(canvas: Canvas, weather: str, night: bool, rng: random.Random) -> None:
    """Rain streaks or snow flakes over the finished scene; depth and masks stay as they are."""
    with canvas.picture_only():
        if weather == "rain":
            color: Color = (150, 176, 214) if night else (222, 234, 248)
            for _ in range(46):
                x, y = rng.uniform(-0.05, canvas.aspect + 0.1), rng.uniform(-0.1, 1.0)
                length = rng.uniform(0.07, 0.13)
                canvas.stroke([(x, y), (x - length * 0.25, y + length)], 0.0085, color)
        elif weather == "snow":
            color = (224, 230, 250) if night else (255, 255, 255)
            for _ in range(48):
                x, y = rng.uniform(0, canvas.aspect), rng.uniform(0, 1)
                radius = rng.uniform(0.008, 0.016)
                canvas.ellipse(x, y, radius, radius, color)
