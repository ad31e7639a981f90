"""What every place is drawn with: a canvas, the light, a horizon and chance."""

import random
from dataclasses import dataclass

from luciole.storyworld.canvas import Canvas, Color, mix
from luciole.storyworld.light import Light, lit

HORIZONS = {
    "eye level": 0.62,
    "dutch angle": 0.62,
    "low angle": 0.8,
    "high angle": 0.42,
    "overhead": -0.25,
}


@dataclass(frozen=True)
class Stage:
    """One place about to be drawn; lengths in picture heights."""

    canvas: Canvas
    light: Light
    weather: str
    time: str
    horizon: float
    rng: random.Random

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.canvas.aspect

    def color(self, color: Color) -> Color:
        """A colour under this place's light."""
        return lit(color, self.light.world)

    def ground(self, far: Color, near: Color) -> None:
        """The ground plane, white where it snows and wet where it rains."""
        if self.weather == "snow":
            far, near = mix(far, (236, 242, 252), 0.85), mix(near, (250, 252, 255), 0.85)
        self.canvas.ground(self.horizon, (self.color(far), self.color(near)), 0.12, 0.75)
        if self.weather == "rain":
            self._puddles(mix(far, (170, 196, 224), 0.6))

    def _puddles(self, color: Color) -> None:
        for _ in range(4):
            y = self.rng.uniform(max(self.horizon, 0.0) + 0.1, 0.98)
            x = self.rng.uniform(0, self.aspect)
            rx = self.rng.uniform(0.08, 0.16)
            self.canvas.nearness = 0.3
            self.canvas.ellipse(x, y, rx, rx * 0.22, self.color(color))

    def sky(self) -> None:
        """Gradient, stars, sun or moon, clouds."""
        canvas, rng = self.canvas, self.rng
        canvas.gradient(self.light.sky)
        canvas.nearness = 0.02
        clear = self.weather == "clear"
        if self.time == "night" and self.weather in ("clear", "snow"):
            for _ in range(14):
                x, y = rng.uniform(0, self.aspect), rng.uniform(0, 0.45)
                canvas.ellipse(x, y, 0.007, 0.007, (240, 240, 255))
        if clear:
            self._sun_or_moon(rng.choice((0.16, 0.84)) * self.aspect)
        if self.weather == "cloudy":
            for i in range(5):
                self._cloud(
                    self.aspect * (i + rng.random()) / 5,
                    rng.uniform(0.06, 0.3),
                    rng.uniform(0.07, 0.12),
                )
        elif clear and self.time != "night":
            self._cloud(rng.uniform(0.2, 0.8) * self.aspect, rng.uniform(0.14, 0.3), 0.05)

    def _sun_or_moon(self, x: float) -> None:
        y = {"morning": 0.34, "day": 0.13, "sunset": self.horizon - 0.1, "night": 0.16}[self.time]
        glow, canvas = self.light.glow, self.canvas
        if self.time == "night":
            canvas.ellipse(x, y, 0.07, 0.07, glow)
            canvas.ellipse(x + 0.03, y - 0.015, 0.058, 0.058, self.light.sky[0])
            return
        radius = 0.12 if self.time == "sunset" else 0.075
        canvas.ellipse(x, y, radius * 1.5, radius * 1.5, mix(self.light.sky[1], glow, 0.5))
        canvas.ellipse(x, y, radius, radius, glow)

    def _cloud(self, x: float, y: float, size: float) -> None:
        white = mix(self.light.sky[1], (255, 255, 255), 0.3 if self.time == "night" else 0.72)
        if self.weather == "cloudy":
            white = mix(white, self.light.sky[0], 0.15)
        for dx, dy, r in ((-1.1, 0.15, 0.7), (0, -0.2, 1.0), (1.0, 0.1, 0.8)):
            self.canvas.ellipse(
                x + dx * size, y + dy * size, r * size * 1.15, r * size * 0.8, white
            )

    def glow(self, color: Color) -> Color:
        """A lamp or lit window: its own colour at night, `color` under the light by day."""
        return self.light.window if self.light.lamps else self.color(color)
