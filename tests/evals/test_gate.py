"""A gate says yes, no, or how many more; and errs no more often than it was allowed to."""

import numpy as np
import pytest

from evals.compare import Measured, rows
from evals.errors import EvaluationError
from evals.gate import Claim, Gate, Verdict, verdict
from evals.metric import Metric

WORDS = Metric("words/all", "higher", "none", matters=0.02, share=True)
FID = Metric("picture/fid", "lower", "none", matters=1.0)


def measured(change: np.ndarray, metric: Metric = WORDS) -> Measured:
    base = np.random.default_rng(0).random(len(change))
    return Measured(metric, "words", {"base": base, "candidate": base + change})


def around(mean: float, count: int = 200, seed: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 1, count)
    return 0.2 * (values - values.mean()) / values.std(ddof=1) + mean


@pytest.mark.parametrize(
    ("claim", "mean", "expected"),
    [
        ("words/all rises by 0.02", 0.08, Verdict.PASSED),
        ("words/all rises by 2 points", 0.03, Verdict.NOT_ENOUGH),
        ("words/all rises by 2 points", -0.05, Verdict.FAILED),
        ("words/all does not fall", 0.02, Verdict.PASSED),
        ("words/all does not fall", -0.08, Verdict.FAILED),
        ("words/all does not fall by 0.005", 0.0, Verdict.NOT_ENOUGH),
        ("words/all falls by 0.02", -0.08, Verdict.PASSED),
        ("words/all is above 0.3", 0.0, Verdict.PASSED),
        ("words/all is below 0.3", 0.0, Verdict.FAILED),
    ],
)
def test_a_claim_is_decided_by_the_data(claim: str, mean: float, expected: Verdict) -> None:
    found = Gate.parse(claim).decide([measured(around(mean))], 0.95)
    assert verdict(found) is expected


def test_one_broken_claim_fails_and_one_open_claim_leaves_it_open() -> None:
    both = [measured(around(0.1)), measured(around(3.0), FID)]
    claims = "words/all rises by 0.02; picture/fid does not rise"
    assert verdict(Gate.parse(claims).decide(both, 0.95)) is Verdict.FAILED
    both[1] = measured(around(1.0), FID)
    assert verdict(Gate.parse(claims).decide(both, 0.95)) is Verdict.NOT_ENOUGH


def test_not_enough_says_how_many_would_do() -> None:
    [finding] = Gate.parse("words/all rises by 0.02").decide([measured(around(0.04))], 0.95)
    assert finding.verdict is Verdict.NOT_ENOUGH
    expected = ((1.6449 + 0.8416) * 0.2 / 0.02) ** 2  # 618
    assert finding.needed == pytest.approx(expected, rel=0.05)
    assert "not enough samples: 200 prompts, need about 620" in finding.told


def test_the_same_checkpoint_twice_does_not_fall_and_does_not_rise() -> None:
    same = measured(np.zeros(40))
    assert verdict(Gate.parse("words/all does not fall").decide([same], 0.95)) is Verdict.PASSED
    [rise] = Gate.parse("words/all rises").decide([same], 0.95)
    assert rise.verdict is Verdict.NOT_ENOUGH
    assert "no number of prompts" in rise.told
    [row] = rows([same], 0.95)
    difference = row.differences["candidate"]
    assert (difference.value, difference.low, difference.high, difference.chance) == (0, 0, 0, 1)


def test_ten_hits_in_ten_do_not_show_nine_in_ten() -> None:
    every = Measured(WORDS, "words", {"only": np.ones(10)})
    [finding] = Gate.parse("words/all is above 0.9").decide([every], 0.95)
    assert finding.verdict is Verdict.NOT_ENOUGH


def test_false_alarms_come_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(2)
    gate = Gate.parse("a does not fall by 0.1; b does not fall by 0.1; c does not fall by 0.1")
    failed = passed = 0
    worlds = 400
    for _ in range(worlds):  # every metric has fallen by exactly what is allowed
        found = [
            Measured(
                Metric(name, "higher", "none", 0.1),
                "t",
                {"base": np.zeros(60), "candidate": rng.normal(-0.1, 1, 60)},
            )
            for name in "abc"
        ]
        answer = verdict(gate.decide(found, 0.95))
        failed, passed = failed + (answer is Verdict.FAILED), passed + (answer is Verdict.PASSED)
    assert 0.025 <= failed / worlds <= 0.08
    assert passed / worlds <= 0.02


@pytest.mark.parametrize(
    "text", ["words/all", "words/all grows by 2", "words/all is above", "words/all rises by e-", ""]
)
def test_what_is_no_claim_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"^gate: .*does not fall"):
        Gate.parse(text)


def test_a_gate_that_cannot_be_decided_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(EvaluationError, match="'words/hair' is not measured here; there are words"):
        Gate.parse("words/hair rises").check([WORDS], 2)
    with pytest.raises(EvaluationError, match="give two checkpoints"):
        Gate.parse("words/all rises").check([WORDS], 1)
    Gate.parse("words/all is above 0.5").check([WORDS], 1)


def test_points_are_hundredths() -> None:
    assert Claim.parse("words/all rises by 2 points").amount == pytest.approx(0.02)
