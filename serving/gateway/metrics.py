"""What Prometheus may ask: one registry per app, nothing global."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one running gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answered", ("route", "status"))
        self.pictures = self._counter("pictures", "Drawn")
        self.engine_errors = self._counter("engine_errors", "Failures of the engine", ("code",))
        self.seconds = Histogram(
            "luciole_request_seconds", "To the end of the answer", ("route",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.drawing = Histogram(
            "luciole_drawing_seconds", "Drawing one picture", buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip

        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        children = self._children.get((route, status))
        if children is None:
            labelled = self.requests.labels(route, str(status)), self.seconds.labels(route)
            children = self._children[route, status] = labelled
        children[0].inc()
        children[1].observe(seconds)

    def drawn(self, seconds: float) -> None:
        """Count a finished picture."""
        self.pictures.inc()
        self.drawing.observe(seconds)

    def watch(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read whenever somebody asks."""
        Gauge(f"luciole_{name}", words, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, words: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"luciole_{name}", words, labels, registry=self.registry)
