"""A small painter: anti-aliased shapes on a colour picture and, when asked, on its maps."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]

_CIRCLE = [(math.cos(a * math.tau / 20), math.sin(a * math.tau / 20)) for a in range(20)]


def mix(a: Color, b: Color, share: float) -> Color:
    """`a` with `share` (0..1) of `b`."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def shade(color: Color, factor: float) -> Color:
    """Darker for `factor` under 1, lighter (towards white) above."""
    if factor <= 1:
        return mix((0, 0, 0), color, factor)
    return mix(color, (255, 255, 255), min(factor - 1, 1.0))


@dataclass(frozen=True)
class View:
    """Where world coordinates (picture height 1, y down) fall: zoom about a centre, then roll."""

    zoom: float = 1.0
    roll: float = 0.0
    center: Point = (0.5, 0.5)


class Canvas:
    """Draws at `scale` times the wanted size and halves at the end, so that edges are smooth.

    World coordinates: y from 0 (top) to 1 (bottom), x from 0 to width / height.
    """

    def __init__(self, width: int, height: int, maps: bool, view: View, scale: int = 2) -> None:
        self.size = (width, height)
        self.aspect = width / height
        self._px = height * scale
        big = (width * scale, height * scale)
        self.image = Image.new("RGB", big)
        self.draw = ImageDraw.Draw(self.image)
        self.depth = Image.new("L", big, 0) if maps else None
        self.people = Image.new("L", big, 0) if maps else None
        self._depth_draw = ImageDraw.Draw(self.depth) if self.depth is not None else None
        self._people_draw = ImageDraw.Draw(self.people) if self.people is not None else None
        self.person = 0
        self.nearness = 0.0
        self.set_view(view)

    def set_view(self, view: View) -> None:
        """Changes how later shapes are placed."""
        self.view = view
        self._cos = math.cos(view.roll) * view.zoom
        self._sin = math.sin(view.roll) * view.zoom

    def place(self, point: Point) -> Point:
        """World to large-picture pixels."""
        cx, cy = self.view.center
        dx, dy = point[0] - cx, point[1] - cy
        x = cx + dx * self._cos - dy * self._sin
        y = cy + dx * self._sin + dy * self._cos
        return (x * self._px, y * self._px)

    def final(self, point: Point) -> Point:
        """World to pixels of the finished picture."""
        x, y = self.place(point)
        return (x * self.size[1] / self._px, y * self.size[1] / self._px)

    def poly(self, points: Sequence[Point], color: Color) -> None:
        """A filled polygon."""
        placed = [self.place(p) for p in points]
        self.draw.polygon(placed, fill=color)
        if self._depth_draw is not None:
            self._depth_draw.polygon(placed, fill=round(255 * self.nearness))
        if self._people_draw is not None and self.person:
            self._people_draw.polygon(placed, fill=self.person)

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        """A filled rectangle by two corners."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, color: Color, tilt: float = 0.0
    ) -> None:
        """A filled ellipse by centre and radii; `tilt` in radians."""
        c, s = math.cos(tilt), math.sin(tilt)
        self.poly(
            [(x + a * rx * c - b * ry * s, y + a * rx * s + b * ry * c) for a, b in _CIRCLE], color
        )

    def stroke(self, points: Sequence[Point], width: float, color: Color) -> None:
        """A line of world `width` with round ends and joints."""
        placed = [self.place(p) for p in points]
        pixels = max(1.0, width * self._px * self.view.zoom)
        self._stroke(self.draw, placed, pixels, color)
        if self._depth_draw is not None:
            self._stroke(self._depth_draw, placed, pixels, round(255 * self.nearness))
        if self._people_draw is not None and self.person:
            self._stroke(self._people_draw, placed, pixels, self.person)

    @staticmethod
    def _stroke(
        draw: ImageDraw.ImageDraw, points: list[Point], width: float, fill: Color | int
    ) -> None:
        draw.line(points, fill=fill, width=round(width))
        r = width / 2
        if r > 1:
            for x, y in points:
                draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    @contextmanager
    def picture_only(self) -> Iterator[None]:
        """What is drawn inside leaves depth and people maps untouched."""
        draws = self._depth_draw, self._people_draw
        self._depth_draw = self._people_draw = None
        yield
        self._depth_draw, self._people_draw = draws

    def gradient(self, colors: Sequence[Color]) -> None:
        """Fills the whole picture from top to bottom; resets depth to the far end."""
        rows = Image.fromarray(np.array([[c] for c in colors], np.uint8), "RGB")
        self.image.paste(rows.resize(self.image.size, Image.Resampling.BICUBIC))

    def ground(self, top: float, colors: tuple[Color, Color], far: float, near: float) -> None:
        """A plane from `top` downwards, with colour and nearness running from far to near."""
        bands = 14
        left, right, nearness = -0.6, self.aspect + 0.6, self.nearness
        for i in range(bands):
            share = i / (bands - 1)
            y = top + (1.3 - top) * (i / bands) ** 1.3
            self.nearness = far + (near - far) * share
            self.poly(
                [(left, y), (right, y), (right, 1.6), (left, 1.6)],
                mix(colors[0], colors[1], share),
            )
        self.nearness = nearness

    def tint(self, color: Color, share: float) -> None:
        """Lays a colour over everything drawn so far."""
        veil = Image.new("RGB", self.image.size, color)
        self.image.paste(Image.blend(self.image, veil, share))

    def multiply(self, color: Color) -> None:
        """Lights everything drawn so far by a colour (255 leaves a channel as it is)."""
        tables = [min(255, round(v * c / 255)) for c in color for v in range(256)]
        self.image.paste(self.image.point(tables))

    def finish(self) -> NDArray[np.uint8]:
        """The picture at its wanted size, `[height, width, 3]`."""
        small = self.image.resize(self.size, Image.Resampling.BOX)
        return np.asarray(small, dtype=np.uint8)

    def map_of(self, image: Image.Image) -> NDArray[np.uint8]:
        """A depth or people map at the wanted size, without blending values."""
        return np.asarray(image.resize(self.size, Image.Resampling.NEAREST), dtype=np.uint8)
