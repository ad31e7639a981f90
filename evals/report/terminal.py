"""One screen: values, differences and the gate."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from evals.compare import Difference, Estimate, Row
from evals.gate import Verdict
from evals.metric import Metric
from evals.run import Outcome

COLORS = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_ENOUGH: "yellow"}
SAID = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failed",
    Verdict.NOT_ENOUGH: "not enough samples",
}


def show(outcome: Outcome, console: Console) -> None:
    """The table, then the gate's lines."""
    console.print(table(outcome))
    for finding in outcome.findings:
        color = COLORS[finding.verdict]
        console.print(f"[{color}]{finding.told}[/]", highlight=False)
    if outcome.verdict is not None:
        color = COLORS[outcome.verdict]
        console.print(f"gate: [{color}]{SAID[outcome.verdict]}[/]", highlight=False)


def table(outcome: Outcome) -> Table:
    """Shares are in per cent; a difference is green or red where it is sure.

    A single checkpoint's values come with their intervals, several ones' with their differences.
    """
    names = list(outcome.rows[0].estimates)
    shown = Table(box=None, padding=(0, 1), header_style="bold")
    shown.add_column("metric", no_wrap=True)
    for name in names:
        shown.add_column(name, justify="right", no_wrap=True)
    for name in names[1:]:
        title = f"{name} less {names[0]}" if len(names) > 2 else "difference"
        shown.add_column(title)
    if any(row.ceiling for row in outcome.rows):
        shown.add_column("real", justify="right", no_wrap=True)
    shown.add_column("n", justify="right", no_wrap=True)
    ceilings = any(row.ceiling for row in outcome.rows)
    for row in outcome.rows:
        shown.add_row(*_cells(row, names, ceilings))
    return shown


def _cells(row: Row, names: Sequence[str], ceilings: bool) -> list[str]:
    """Empty where a checkpoint was not measured, as one that draws nothing costs nothing."""
    metric, found, changes = row.metric, row.estimates, row.differences
    cells = [f"{metric.name} {'↑' if metric.better == 'higher' else '↓'}"]
    if len(names) == 1:
        cells.append(told(metric, found[names[0]]))
    else:
        cells += [metric.shown(found[n].value) if n in found else "" for n in names]
    cells += [_changed(metric, changes[n]) if n in changes else "" for n in names[1:]]
    if ceilings:
        cells.append("" if row.ceiling is None else row.metric.shown(row.ceiling.value))
    return [*cells, f"{row.count}"]


def told(metric: Metric, one: Estimate) -> str:
    """A value with its interval."""
    return f"{metric.shown(one.value)} [{metric.shown(one.low)}, {metric.shown(one.high)}]"


def changed(metric: Metric, one: Difference) -> str:
    """A difference with its interval and its corrected chance."""
    ends = f"{metric.shown(one.low, sign=True)}, {metric.shown(one.high, sign=True)}"
    return f"{metric.shown(one.value, sign=True)} [{ends}] p {one.corrected:.2g}"


def better(metric: Metric, one: Difference) -> bool | None:
    """Whether the candidate is surely better, surely worse, or None: nobody knows."""
    if one.low <= 0 <= one.high:
        return None
    return (one.value > 0) == (metric.better == "higher")


def _changed(metric: Metric, one: Difference) -> str:
    sure = better(metric, one)
    text = changed(metric, one).replace("[", r"\[")
    if sure is None:
        return text
    return f"[{'green' if sure else 'red'}]{text}[/]"
