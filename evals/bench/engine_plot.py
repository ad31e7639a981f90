"""A benchmark's figures as one small picture: how many times better than its goal each one is."""

import math
from collections.abc import Sequence
from html import escape

from evals.bench.result import Figure

LEFT, WIDTH, LINE = 420, 760, 22
"""Pixels for names, pixels in all, pixels a line."""
FURTHEST = 8.0
"""Times the goal, to either side; what lies beyond is drawn at the edge."""
GOOD, BAD = "#12702c", "#b3261e"


def plot(figures: Sequence[Figure]) -> str:
    """SVG of those that have a goal: its line is in the middle, better is to the right."""
    shown = [figure for figure in figures if figure.goal]
    height = LINE * (len(shown) + 2)
    middle = place(1.0)
    parts = [_line(middle, middle, 0, height - LINE, "#222", 1)]
    for row, figure in enumerate(shown, 1):
        y, color = LINE * row, GOOD if figure.reached else BAD
        low, value, high = (place(better(figure, one)) for one in _three(figure))
        name = f"{figure.metric}: {figure.value:.3g} {figure.unit}"
        parts += [
            f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>',
            _line(low, high, y, y, color, 3),
            f'<circle cx="{value:.1f}" cy="{y}" r="4.5" fill="{color}"/>',
        ]
    label = f'x="{middle:.1f}" y="{height - 4}" text-anchor="middle"'
    parts.append(f"<text {label}>the goal; twice as good is a third of the way to the right</text>")
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
    look = 'font-size="12" font-family="system-ui,sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>{"".join(parts)}</svg>\n'


def better(figure: Figure, value: float) -> float:
    """How many times better than the goal a value is; more than 1 is better."""
    if not figure.goal or value <= 0:
        return FURTHEST if figure.better == "lower" else 1 / FURTHEST
    return value / figure.goal if figure.better == "higher" else figure.goal / value


def place(times: float) -> float:
    """Pixels from the left, by the logarithm."""
    far = max(-1.0, min(1.0, math.log(times, FURTHEST)))
    return LEFT + (WIDTH - LEFT - 10) * (1 + far) / 2


def _three(figure: Figure) -> tuple[float, float, float]:
    return figure.low, figure.value, figure.high


def _line(x1: float, x2: float, y1: float, y2: float, color: str, width: int) -> str:
    ends = f'x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}"/>'
