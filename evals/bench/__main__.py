"""`python -m evals.bench`: every committed result in one table, goals that are missed in red."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from evals.bench.result import RESULTS, read


def table(folder: Path) -> Table:
    """A row for each figure of each benchmark."""
    shown = Table("benchmark", "metric", "value", "95 % interval", "goal", "against")
    for file in sorted(folder.glob("*.json")):
        for figure in read(file):
            goal = "" if figure.goal is None else f"{figure.goal:g}"
            shown.add_row(
                file.stem,
                figure.metric,
                f"{figure.value:.3g} {figure.unit}",
                f"{figure.low:.3g} to {figure.high:.3g}",
                goal,
                figure.peer,
                style=None if figure.reached else "red",
            )
    return shown


if __name__ == "__main__":
    Console().print(table(RESULTS))
