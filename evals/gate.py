"""A suite as an exit code: claims about metrics, shown, refuted, or not yet decided.

    words/all rises by 2 points; identity/top1 does not fall; picture/fid is below 40

A claim holds when the data show it at the asked confidence, and is broken when they show the
opposite. The gate passes when every claim holds; as each test errs at most so often, so does the
gate (Berger 1982). One broken claim fails it, so their chances are corrected together (Holm 1979).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import isinf, sqrt
from statistics import NormalDist
from typing import Self

import numpy as np

from evals.compare import Measured
from evals.errors import EvaluationError
from evals.metric import Metric
from evals.statistics import Scores, flipped, holm, samples_needed

_CLAIM = re.compile(
    r"(?P<metric>\S+)\s+(?P<verb>rises|falls|does not rise|does not fall|is above|is below)"
    r"(?:(?:\s+by)?\s+(?P<amount>[0-9.]+(?:e-?[0-9]+)?)(?P<points>\s+points?)?)?"
)
_GRAMMAR = (
    "write 'metric rises by 0.02', 'falls by', 'does not fall', 'does not rise by', "
    "'is above 0.9' or 'is below', joined by ';'"
)


class Verdict(Enum):
    """The value is the exit status."""

    PASSED = 0
    FAILED = 1
    NOT_ENOUGH = 3


@dataclass(frozen=True)
class Claim:
    """What must be so of a metric."""

    text: str
    metric: str
    verb: str
    amount: float | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """EvaluationError shows the grammar."""
        found = _CLAIM.fullmatch(text.strip())
        try:
            amount = None if found is None or not found["amount"] else float(found["amount"])
        except ValueError:
            found, amount = None, None
        if found is None or (found["verb"].startswith("is ") and amount is None):
            raise EvaluationError("gate", f"{text.strip()!r} is no claim; {_GRAMMAR}")
        scale = 0.01 if found["points"] else 1.0
        return cls(
            text.strip(), found["metric"], found["verb"], None if amount is None else amount * scale
        )

    @property
    def absolute(self) -> bool:
        """Whether it is about the candidate alone."""
        return self.verb.startswith("is ")

    def margins(self, measured: Measured, candidate: str) -> Scores:
        """Scores whose mean is above 0 where the claim is true."""
        if self.absolute:
            assert self.amount is not None  # noqa: S101
            over = measured.scores[candidate] - self.amount
            return over if self.verb == "is above" else -over
        change = measured.difference(candidate)
        change = change if self.verb in ("rises", "does not fall") else -change
        amount = self.amount
        if self.verb.startswith("does not"):
            return change + (measured.metric.matters if amount is None else amount)
        return change - (amount or 0.0)

    def bound(self, metric: Metric) -> str:
        """In words, with the margin that was not written out."""
        if self.amount is None and self.verb.startswith("does not"):
            return f"{self.text} by {metric.matters:g}"
        return self.text


@dataclass(frozen=True)
class Finding:
    """What the data say of one claim; `needed` prompts would decide it if it is as it looks."""

    claim: str
    candidate: str
    verdict: Verdict
    value: float
    held: float
    broken: float
    count: int
    needed: float

    @property
    def told(self) -> str:
        """One line."""
        if self.verdict is Verdict.PASSED:
            return f"{self.claim}: yes (p {self.held:.2g})"
        if self.verdict is Verdict.FAILED:
            return f"{self.claim}: no (p {self.broken:.2g})"
        need = (
            "no number of prompts would show it"
            if isinf(self.needed)
            else (f"not enough samples: {self.count} prompts, need about {_round(self.needed)}")
        )
        return f"{self.claim}: {need}"


@dataclass(frozen=True)
class Gate:
    """All claims must hold, of every candidate."""

    claims: tuple[Claim, ...]

    @classmethod
    def parse(cls, text: str | Sequence[str]) -> Self:
        """Claims joined by ';', or a list of them."""
        parts = text.split(";") if isinstance(text, str) else list(text)
        claims = tuple(Claim.parse(part) for part in parts if part.strip())
        if not claims:
            raise EvaluationError("gate", f"claims nothing; {_GRAMMAR}")
        return cls(claims)

    def check(self, metrics: Sequence[Metric], checkpoints: int) -> None:
        """EvaluationError, before anything is drawn, names a claim that cannot be decided."""
        known = [metric.name for metric in metrics]
        for claim in self.claims:
            if claim.metric not in known:
                there = ", ".join(known)
                raise EvaluationError(
                    "gate", f"{claim.metric!r} is not measured here; there are {there}"
                )
            if checkpoints < 2 and not claim.absolute:
                raise EvaluationError("gate", f"{claim.text!r} compares; give two checkpoints")

    def decide(self, measured: Sequence[Measured], confidence: float) -> list[Finding]:
        """Every claim about every candidate."""
        alpha, known = 1 - confidence, {one.metric.name: one for one in measured}
        asked = [
            (claim, known[claim.metric], name)
            for claim in self.claims
            for name in _candidates(known[claim.metric])
        ]
        margins = [claim.margins(one, name) for claim, one, name in asked]
        chances = [
            _chances(claim, one.scores[name], m)
            for (claim, one, name), m in zip(asked, margins, strict=True)
        ]
        broken = holm([below for _, below in chances])
        return [
            _finding(*one, m, above, below, alpha)
            for one, m, (above, _), below in zip(asked, margins, chances, broken, strict=True)
        ]


def verdict(findings: Sequence[Finding]) -> Verdict:
    """One broken claim fails; one open claim leaves it open."""
    found = {finding.verdict for finding in findings}
    for one in (Verdict.FAILED, Verdict.NOT_ENOUGH):
        if one in found:
            return one
    return Verdict.PASSED


def _candidates(measured: Measured) -> list[str]:
    names = list(measured.scores)
    return names[1:] or names


def _finding(
    claim: Claim,
    one: Measured,
    name: str,
    margins: Scores,
    held: float,
    broken: float,
    alpha: float,
) -> Finding:
    found = Verdict.NOT_ENOUGH
    if held <= alpha:
        found = Verdict.PASSED
    elif broken <= alpha:
        found = Verdict.FAILED
    needed = samples_needed(float(margins.std(ddof=1)), float(margins.mean()), 1 - alpha)
    needed = max(needed, len(margins) + 1.0)
    value = float(one.scores[name].mean() if claim.absolute else one.difference(name).mean())
    text = f"{name}: {claim.bound(one.metric)}"
    return Finding(text, name, found, value, held, broken, len(margins), needed)


def _chances(claim: Claim, scores: Scores, margins: Scores) -> tuple[float, float]:
    """P-values against the claim being false, and against it being true."""
    if claim.absolute:
        hits = bool(np.isin(scores, (0.0, 1.0)).all())
        return _score_test(margins, hits, claim.amount or 0.0)
    above, below = flipped(margins)
    return float(above), float(below)


def _score_test(margins: Scores, hits: bool, bound: float) -> tuple[float, float]:
    """One-sided p-values that a mean is above and below 0, by the normal distribution.

    Of hits and misses the spread is that of the bound itself, as in Wilson's interval.
    """
    mean, spread = float(margins.mean()), float(margins.std(ddof=1))
    if hits and 0 < bound < 1:
        spread = sqrt(bound * (1 - bound))
    if spread == 0:
        return (0.0, 1.0) if mean > 0 else (1.0, 0.0) if mean < 0 else (1.0, 1.0)
    z = mean / (spread / sqrt(len(margins)))
    return 1 - NormalDist().cdf(z), NormalDist().cdf(z)


def _round(count: float) -> str:
    """To two digits: it is a rough number."""
    if count > 1e7:
        return "more than ten million"
    digits = max(0, len(str(int(count))) - 2)
    return f"{int(-(-count // 10**digits) * 10**digits):,}"
