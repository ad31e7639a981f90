"""What a benchmark writes: the machine, the versions, the command, and measured ratios."""

import json
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured thing: the median of its rounds, and where it lies with 95 % confidence."""

    metric: str
    value: float
    low: float
    high: float
    unit: str
    goal: float | None
    better: Literal["higher", "lower"]
    peer: str

    @property
    def reached(self) -> bool:
        """Whether the median is at the goal; always where there is none."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


def median(rounds: Sequence[float]) -> tuple[float, float, float]:
    """The median with its 95 % interval: percentiles of 10,000 resampled medians (Efron 1979)."""
    values = np.asarray(rounds)
    chosen = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    low, high = np.percentile(np.median(values[chosen], axis=1), [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)


def write(name: str, figures: Sequence[Figure], libraries: Sequence[str], note: str) -> Path:
    """`results/<name>.json`; the newest is committed."""
    content = {
        "machine": f"{platform.machine()}, {_processor()}",
        "versions": {library: version(library) for library in libraries},
        "command": shlex.join(["python", "-m", f"evals.bench.{name}", *sys.argv[1:]]),
        "note": note,
        "figures": [asdict(figure) for figure in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def read(file: Path) -> list[Figure]:
    """The figures of a benchmark."""
    return [Figure(**figure) for figure in json.loads(file.read_text())["figures"]]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
