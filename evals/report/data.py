"""report.json: everything that programs may want of an evaluation."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

from evals.checkpoint import Checkpoint
from evals.compare import Row
from evals.prompts import MEASURED
from evals.run import Outcome, Plan
from evals.statistics import Scores, Share


def report(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Plain values; scores sample by sample, so that anybody can compare again."""
    found = {
        "settings": _settings(plan, outcome),
        "checkpoints": {one.name: _checkpoint(one, outcome) for one in plan.checkpoints},
        "metrics": [_row(row) for row in outcome.rows],
        "gate": _gate(outcome),
        "samples": {name: _samples(name, outcome) for name in outcome.answers},
    }
    words = {one.metric.name: one for one in outcome.measured if one.task == "words"}
    if words:
        first = plan.checkpoints[0].name
        found["model"] = _words({name: one.scores[first] for name, one in words.items()})
        real = {name: one.ceiling for name, one in words.items() if one.ceiling is not None}
        found["real_renders"] = _words(real)
    return found


def _settings(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    own, first = plan.settings, next(iter(outcome.answers.values()))
    return {
        "prompts": len(first.samples) // first.unit,
        "steps": own.steps,
        "guidance_scale": own.guidance_scale,
        "guidance_eta": own.guidance_eta,
        "solver": str(own.solver),
        "seed": plan.seed,
        "confidence": plan.confidence,
    }


def _checkpoint(one: Checkpoint, outcome: Outcome) -> dict[str, Any]:
    return {**asdict(one), "engine": outcome.engines[one.name]}


def _row(row: Row) -> dict[str, Any]:
    return {
        "metric": row.metric.name,
        "task": row.task,
        "better": row.metric.better,
        "paper": row.metric.paper,
        "count": row.count,
        "values": {name: asdict(one) for name, one in row.estimates.items()},
        "differences": {
            name: {**asdict(one), "needed": one.needed if isfinite(one.needed) else None}
            for name, one in row.differences.items()
        },
        "real": None if row.ceiling is None else asdict(row.ceiling),
    }


def _gate(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.verdict is None:
        return None
    claims = [
        {
            **asdict(one),
            "verdict": one.verdict.name.lower(),
            "needed": one.needed if isfinite(one.needed) else None,
        }
        for one in outcome.findings
    ]
    return {"verdict": outcome.verdict.name.lower(), "claims": claims}


def _samples(name: str, outcome: Outcome) -> list[dict[str, Any]]:
    answers = outcome.answers[name]
    measured = [one for one in outcome.measured if one.task == name]
    return [
        {
            "prompt": answers.samples[i * answers.unit].prompt,
            "seed": answers.samples[i * answers.unit].seed,
            "scores": {
                one.metric.name: {who: round(float(s[i]), 6) for who, s in one.scores.items()}
                for one in measured
            },
        }
        for i in range(len(answers.samples) // answers.unit)
    ]


def _words(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """The figures of a model card: hits among words, with Wilson's intervals."""
    kinds = {kind: scores[f"words/{kind}"] for kind in MEASURED}
    shares = {kind: Share(int(hits.sum()), len(hits)) for kind, hits in kinds.items()}
    overall = Share(sum(s.hits for s in shares.values()), sum(s.count for s in shares.values()))
    return {
        "overall": overall.as_json(),
        "by_kind": {kind: share.as_json() for kind, share in shares.items()},
    }
