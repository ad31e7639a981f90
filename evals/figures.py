"""`python -m evals.figures out/evals/*/report.json`: reports as Markdown tables, for a README."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.errors import EvaluationError


def table(report: Mapping[str, Any]) -> str:
    """Values with their intervals, and the difference of every checkpoint from the first."""
    names = list(report["checkpoints"])
    heads = ["metric", *names, *(f"{name} less {names[0]}" for name in names[1:]), "real", "n"]
    lines = [heads, ["---"] * len(heads)] + [_row(row, names) for row in report["metrics"]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(row: Mapping[str, Any], names: list[str]) -> list[str]:
    arrow = "↑" if row["better"] == "higher" else "↓"
    values = [_told(row["values"].get(name)) for name in names]
    changes = [_told(row["differences"].get(name), "+") for name in names[1:]]
    return [f"{row['metric']} {arrow}", *values, *changes, _told(row["real"]), f"{row['count']}"]


def _told(one: Mapping[str, float] | None, sign: str = "") -> str:
    if one is None:
        return ""
    value, low, high = (f"{one[key]:{sign}.3g}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def read(file: Path) -> dict[str, Any]:
    """EvaluationError names a file that is no report of checkpoints."""
    try:
        report: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise EvaluationError(str(file), f"is no report: {error}") from error
    if not {"checkpoints", "metrics"} <= report.keys():
        raise EvaluationError(str(file), "has no checkpoints and metrics; measure it again")
    return report


def main() -> None:
    """One table a report, under the name of its folder."""
    parser = argparse.ArgumentParser(prog="python -m evals.figures", description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+", help="report.json files")
    for file in parser.parse_args().reports:
        print(f"### {file.parent.name}\n\n{table(read(file))}\n")  # noqa: T201


if __name__ == "__main__":
    main()
