"""The differences as one picture: an interval a metric, to the right is better."""

from collections.abc import Callable, Sequence
from html import escape

from evals.compare import Row

LEFT, WIDTH, LINE, LIMIT = 210, 760, 22, 6.0
"""Pixels for names, pixels in all, pixels a line; differences that matter, to either side."""


def plot(rows: Sequence[Row]) -> str:
    """Inline SVG; each metric is counted in differences that matter of its own. Shares of a single
    checkpoint are drawn from 0 to 1.
    """
    if rows[0].differences:
        several = len(rows[0].differences) > 1
        lines = [
            (f"{row.metric.name} · {name}" if several else row.metric.name, _scaled(row, name))
            for row in rows
            for name in row.differences
        ]
        return _drawn(lines, (-LIMIT, LIMIT), 0.0, "differences that matter, better to the right")
    shares = [row for row in rows if row.metric.share]
    lines = [
        (row.metric.name, (one.low, one.value, one.high))
        for row in shares
        for one in list(row.estimates.values())[:1]
    ]
    return _drawn(lines, (0.0, 1.0), None, "share") if lines else ""


def _scaled(row: Row, name: str) -> tuple[float, float, float]:
    """Low, value and high in differences that matter, turned so that more is better."""
    one, sign = row.differences[name], 1 if row.metric.better == "higher" else -1
    low, value, high = (sign * v / row.metric.matters for v in (one.low, one.value, one.high))
    return (min(low, high), value, max(low, high))


def _drawn(
    lines: Sequence[tuple[str, tuple[float, float, float]]],
    ends: tuple[float, float],
    zero: float | None,
    label: str,
) -> str:
    height = LINE * (len(lines) + 2)

    def x(value: float) -> float:
        clipped = min(max(value, ends[0]), ends[1])
        return LEFT + (WIDTH - LEFT - 20) * (clipped - ends[0]) / (ends[1] - ends[0])

    parts = [_axis(x, ends, height)]
    if zero is not None:
        parts.append(_line(x(zero), x(zero), 0, height - LINE, "#222"))
    for i, (name, (low, value, high)) in enumerate(lines):
        y = LINE * (i + 1)
        color = _color(low, high, zero)
        parts += [
            f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>',
            _line(x(low), x(high), y, y, color, 3),
            f'<circle cx="{x(value):.1f}" cy="{y}" r="4.5" fill="{color}"/>',
        ]
    last = f'x="{WIDTH - 20}" y="{height - 2}" text-anchor="end"'
    parts.append(f"<text {last}>{escape(label)}</text>")
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" font-size="12" '
        f'font-family="system-ui,sans-serif" role="img">{"".join(parts)}</svg>'
    )


def _color(low: float, high: float, zero: float | None) -> str:
    if zero is None or low <= zero <= high:
        return "#555"
    return "#12702c" if low > zero else "#b3261e"


def _line(x1: float, x2: float, y1: float, y2: float, color: str, width: int = 1) -> str:
    ends = f'x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}"/>'


def _axis(x: Callable[[float], float], ends: tuple[float, float], height: int) -> str:
    """Five marks with their values."""
    marks = [ends[0] + (ends[1] - ends[0]) * k / 4 for k in range(5)]
    return "".join(
        _line(x(mark), x(mark), 0, height - LINE, "#ddd")
        + f'<text x="{x(mark):.1f}" y="{height - LINE + 12}" text-anchor="middle" fill="#666">'
        f"{mark:g}</text>"
        for mark in marks
    )
