"""What a picture costs: seconds and the process's peak memory, in a process of its own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from evals.checkpoint import Checkpoint
from evals.compare import Measured
from evals.errors import EvaluationError
from evals.metric import Metric
from evals.painters.choice import painter_of
from evals.prompts import held_out_prompts
from evals.sample import Sample, Settings
from evals.statistics import Scores

SECONDS = Metric("cost/seconds", "lower", "wall clock of one picture, after a first one", 0.1)
MEMORY = Metric("cost/peak_mb", "lower", "VmHWM of Linux, in MB (10^6 bytes)", 50.0)
METRICS = (SECONDS, MEMORY)


@dataclass(frozen=True)
class Cost:
    """So many pictures, one by one; never from the cache."""

    pictures: int

    def measure(
        self, checkpoints: list[Checkpoint], settings: Settings, seed: int
    ) -> list[Measured]:
        """One process a checkpoint, one after the other, so that none pays for another's model."""
        found: dict[str, Mapping[str, Scores]] = {}
        for checkpoint in checkpoints:
            with get_context("spawn").Pool(1) as pool:
                found[checkpoint.name] = pool.apply(
                    spent, (checkpoint, settings, self.pictures, seed)
                )
        return [
            Measured(metric, "cost", {who: one[metric.name] for who, one in found.items()})
            for metric in METRICS
        ]


def spent(
    checkpoint: Checkpoint, settings: Settings, pictures: int, seed: int
) -> Mapping[str, Scores]:
    """Of each picture but the first, which loads what is loaded late."""
    painter = painter_of(checkpoint, settings)
    seconds, memory = [], []
    for i, prompt in enumerate(held_out_prompts(pictures + 1)):
        start = time.perf_counter()
        painter.draw([Sample(prompt.text, seed + i)])
        seconds.append(time.perf_counter() - start)
        memory.append(peak_mb())
    painter.close()
    return {SECONDS.name: np.array(seconds[1:]), MEMORY.name: np.array(memory[1:])}


def peak_mb() -> float:
    """The most memory that this process has had at once."""
    status = Path("/proc/self/status")
    if not status.is_file():
        raise EvaluationError("cost", "peak memory is read from Linux's /proc; leave cost out")
    [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6
