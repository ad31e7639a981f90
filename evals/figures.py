"""`python -m evals.figures out/evals/*/report.json`: reports as Markdown tables, on one page."""

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from evals.errors import EvaluationError

CONF = Path(__file__).parents[1] / "conf" / "suite"
HEAD = """# What ships, measured

`make evals` measures all of this again. Every checkpoint of a suite draws the same held-out prompts
with the same seeds; brackets hold 95 % intervals, differences are paired. "real" is what the same
metric says of real renders. Models that measure were trained on real renders alone.
"""


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


def page(files: Sequence[Path]) -> str:
    """One table a report, under what its suite asks."""
    parts = [f"## {name_of(file)}\n\n{asked(name_of(file))}{table(read(file))}\n" for file in files]
    return "\n".join([HEAD, *parts])


def name_of(file: Path) -> str:
    """The suite: what the file or, if that is the report itself, its folder is called."""
    return file.parent.name if file.name == "report.json" else file.stem


def asked(suite: str) -> str:
    """What the first comment of the suite's configuration says; nothing where there is none."""
    config = CONF / f"{suite}.yaml"
    if not config.exists():
        return ""
    lines = takewhile(lambda line: line.startswith("#"), config.read_text().splitlines()[1:])
    return " ".join(line.removeprefix("#").strip() for line in lines) + "\n\n"


def main() -> None:
    """Prints the page, or writes it."""
    parser = argparse.ArgumentParser(prog="python -m evals.figures", description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+", help="report.json files")
    parser.add_argument("--out", type=Path, help="a Markdown file")
    args = parser.parse_args()
    told = page(args.reports)
    if args.out:
        args.out.write_text(told)
    else:
        print(told, end="")  # noqa: T201


if __name__ == "__main__":
    main()
