"""A task: the same samples for every checkpoint, and metrics of the pictures."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from evals.metric import Metric
from evals.sample import Images, Sample
from evals.statistics import Scores


class Task(Protocol):
    """Asks and scores; `unit` samples in a row give one score together."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """In the order of the report."""
        ...

    @property
    def unit(self) -> int:
        """Samples that belong together, such as the seeds of one prompt."""
        ...

    @property
    def ceiling(self) -> bool:
        """Whether real renders are scored too, for what the judge can see at all."""
        ...

    def samples(self, seed: int, size: int) -> Sequence[Sample]:
        """The same for every checkpoint; `seed` is the first picture's, `size` in pixels."""
        ...

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """By metric, one number a unit; the mean is the metric's value."""
        ...
