"""Shares with their intervals."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Share:
    """`hits` of `count`, with Wilson's 95 % score interval (Wilson 1927)."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        """Between 0 and 1."""
        return self.hits / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end of the 95 % interval."""
        z, n, p = 1.959963985, self.count, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (max(0.0, middle - half), min(1.0, middle + half))

    def as_json(self) -> dict[str, float | int]:
        """For reports."""
        low, high = self.interval
        return {
            "value": round(self.value, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "hits": self.hits,
            "count": self.count,
        }
