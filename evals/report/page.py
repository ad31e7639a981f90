"""report.html: one file without anything from elsewhere; the summary first."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image as Pillow

from evals.compare import Measured, Row
from evals.report.plot import plot
from evals.report.terminal import SAID, better, changed, told
from evals.run import Answers, Outcome, Plan
from evals.sample import Image

SHOWN = 4
"""Of the best and of the worst, for each task."""
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
.better{color:#12702c}.worse{color:#b3261e}.passed{color:#12702c}.failed{color:#b3261e}
.not_enough{color:#8a6100}figure{display:inline-block;margin:.4rem 1rem .4rem 0;max-width:26rem;
vertical-align:top}figcaption{font-size:12px;color:#555}img{margin-right:2px}
.wide{overflow-x:auto}svg{max-width:100%}small{color:#666}
"""


def page(plan: Plan, outcome: Outcome, title: str) -> str:
    """The whole document."""
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(plan, outcome),
        "<h2>Metrics</h2>",
        f"<p><small>{_explained(plan, outcome)}</small></p>",
        f'<div class="wide">{plot(outcome.rows)}</div>',
        f'<div class="wide">{_table(outcome.rows)}</div>',
        *(_pictures(name, outcome) for name in outcome.answers),
        "<h2>How</h2>",
        _how(plan, outcome),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _summary(plan: Plan, outcome: Outcome) -> str:
    """The gate's answer, else what is surely better or worse."""
    if outcome.verdict is not None:
        said = "".join(
            f'<li class="{one.verdict.name.lower()}">{escape(one.told)}</li>'
            for one in outcome.findings
        )
        name = outcome.verdict.name.lower()
        return f'<h2 class="{name}">Gate: {SAID[outcome.verdict]}</h2><ul>{said}</ul>'
    lines = []
    for name in [one.name for one in plan.checkpoints[1:]]:
        known = [row for row in outcome.rows if name in row.differences]
        sure = [(row, better(row.metric, row.differences[name])) for row in known]
        for word, which in (("better", True), ("worse", False)):
            found = [row.metric.name for row, one in sure if one is which]
            told_names = escape(", ".join(found)) or "nothing"
            lines.append(f'<li class="{word}">{escape(name)} is surely {word} in {told_names}</li>')
    return f"<ul>{''.join(lines)}</ul>"


def _explained(plan: Plan, outcome: Outcome) -> str:
    share = f"{plan.confidence:.0%}"
    text = f"Shares in per cent. Intervals hold the truth with {share} confidence: Wilson's for"
    text += " shares, the BCa bootstrap over prompts elsewhere."
    if len(plan.checkpoints) > 1:
        text += " p is the paired permutation test's, corrected for all metrics (Holm)."
    return escape(text)


def _table(rows: Sequence[Row]) -> str:
    first = rows[0]
    base = next(iter(first.estimates))
    heads = ["metric", *first.estimates, *(f"{name} less {base}" for name in first.differences)]
    heads += ["real renders", "prompts", "prompts for a difference that matters", "defined by"]
    names = list(first.estimates)
    body = "".join(f"<tr>{''.join(_cells(row, names))}</tr>" for row in rows)
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    metric, found, changes = row.metric, row.estimates, row.differences
    cells = [f"<td>{escape(metric.name)} {'↑' if metric.better == 'higher' else '↓'}</td>"]
    cells += [f"<td>{escape(told(metric, found[n])) if n in found else ''}</td>" for n in names]
    for name in names[1:]:
        sure = better(metric, changes[name]) if name in changes else None
        word = {True: "better", False: "worse", None: ""}[sure]
        text = escape(changed(metric, changes[name])) if name in changes else ""
        cells.append(f'<td class="{word}">{text}</td>')
    cells.append(f"<td>{'' if row.ceiling is None else escape(told(metric, row.ceiling))}</td>")
    needed = [f"{one.needed:,.0f}" for one in row.differences.values()]
    step = metric.shown(metric.matters)
    cells += [f"<td>{row.count}</td>", f"<td>{', '.join(needed)} for {step}</td>"]
    return [*cells, f"<td>{escape(metric.paper)}</td>"]


def _pictures(name: str, outcome: Outcome) -> str:
    """Worst and best pairs by the task's first metric."""
    answers = outcome.answers[name]
    first = next(one for one in outcome.measured if one.task == name)
    names = list(first.scores)
    score = first.difference(names[1]) if len(names) > 1 else first.scores[names[0]]
    order = np.argsort(score if first.metric.better == "higher" else -score, kind="stable")
    word = f"by {first.metric.name}" + (f", {names[1]} less {names[0]}" if names[1:] else "")
    found = [("worst", order[:SHOWN]), ("best", order[::-1][:SHOWN])]
    return "".join(
        f"<h2>{escape(name)}: {kind} {escape(word)}</h2>"
        + "".join(_figure(int(i), answers, first) for i in units)
        for kind, units in found
    )


def _figure(unit: int, answers: Answers, measured: Measured) -> str:
    """Every checkpoint's pictures of a unit, one row each, and what was asked for."""
    places = range(unit * answers.unit, (unit + 1) * answers.unit)
    rows = []
    for name, pictures in answers.pictures.items():
        strip = "".join(embedded(pictures[i]) for i in places)
        value = measured.metric.shown(float(measured.scores[name][unit]))
        rows.append(f"<div>{strip}<br><small>{escape(name)}: {value}</small></div>")
    sample = answers.samples[places[0]]
    for word, given in (("reference", sample.reference), *sample.controls.items()):
        if given is not None:
            rows.append(f"<div>{embedded(given)}<br><small>{escape(word)}</small></div>")
    if sample.real is not None:
        rows.append(f"<div>{embedded(sample.real)}<br><small>real render</small></div>")
    side = "display:inline-block" if answers.unit == 1 else ""
    inner = "".join(row.replace("<div>", f'<div style="{side}">', 1) for row in rows)
    caption = f"{escape(sample.prompt)} <small>seed {sample.seed}</small>"
    return f"<figure>{inner}<figcaption>{caption}</figcaption></figure>"


def embedded(picture: Image, side: int = 96) -> str:
    """A small JPEG inside the page."""
    small = Pillow.fromarray(picture)
    small.thumbnail((side, side))
    data = BytesIO()
    small.save(data, "JPEG", quality=80)
    source = f"data:image/jpeg;base64,{b64encode(data.getvalue()).decode()}"
    return f'<img alt="" width={small.width} height={small.height} src="{source}">'


def _how(plan: Plan, outcome: Outcome) -> str:
    own = plan.settings
    lines = [
        f"{own.steps} steps of {own.solver}, "
        f"guidance {own.guidance_scale:g} with eta {own.guidance_eta:g}, "
        f"first seed {plan.seed}, unless a checkpoint says otherwise of itself"
    ]
    for one in plan.checkpoints:
        parts = "".join(f", {p.kind} {p.what} at {p.weight:g}" for p in one.parts)
        told_settings = [
            f"{name} {value}"
            for name in ("steps", "guidance", "eta", "solver")
            if (value := getattr(one, name)) is not None
        ]
        extra = "".join(f", {text}" for text in told_settings)
        lines.append(f"{one.name}: {one.base}{parts}{extra}; drawn by {outcome.engines[one.name]}")
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
