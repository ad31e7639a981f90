"""Intervals cover the truth, tests raise false alarms at their rate: checked by simulation."""

from itertools import product

import numpy as np
import pytest

from evals.statistics import different, flipped, holm, interval, samples_needed, wilson

WORLDS = 1200


def drawn(kind: str, count: int, seed: int) -> tuple[np.ndarray, float]:
    """Many experiments of `count` paired differences, and their true mean."""
    rng = np.random.default_rng(seed)
    match kind:
        case "normal":
            return rng.normal(0.3, 1, (WORLDS, count)), 0.3
        case "words gained and lost":
            return rng.choice([-1.0, 0.0, 1.0], (WORLDS, count), p=[0.1, 0.7, 0.2]), 0.1
        case _:
            return rng.exponential(1, (WORLDS, count)), 1.0


@pytest.mark.parametrize("kind", ["normal", "words gained and lost", "skewed"])
def test_the_interval_covers_the_truth_95_times_in_100(kind: str) -> None:
    values, truth = drawn(kind, count=80, seed=1)
    low, high = interval(values, resamples=2000)
    covered = ((low <= truth) & (truth <= high)).mean()
    assert 0.93 <= covered <= 0.97


def test_the_interval_of_a_mean_is_that_of_the_normal_where_many_were_drawn() -> None:
    values = np.random.default_rng(2).normal(5, 2, 400)
    low, high = interval(values, resamples=6000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert (float(low), float(high)) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.08 * half
    )


def test_what_never_varies_has_an_interval_without_width() -> None:
    low, high = interval(np.full(30, 0.1))
    assert low == high == pytest.approx(0.1)


def test_the_permutation_test_counts_every_arrangement_of_few_pairs() -> None:
    values = np.array([0.5, -0.2, 0.9, 0.4, 0.1])
    sums = [np.dot(signs, values) for signs in product([1, -1], repeat=5)]
    above, below = flipped(values)
    assert above == pytest.approx(np.mean([one >= values.sum() - 1e-9 for one in sums]))
    assert below == pytest.approx(np.mean([one <= values.sum() + 1e-9 for one in sums]))


def test_a_difference_that_is_none_is_found_five_times_in_a_hundred() -> None:
    rng = np.random.default_rng(3)
    none = rng.choice([-1.0, 0.0, 1.0], (WORLDS, 100), p=[0.3, 0.4, 0.3]) * rng.random((1, 100))
    rate = (different(none) <= 0.05).mean()
    assert 0.03 <= rate <= 0.07


def test_holm_has_its_worked_example_and_keeps_the_family_at_its_rate() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    chances = np.random.default_rng(4).random((4000, 6))
    alarms = np.mean([min(holm(list(row))) <= 0.05 for row in chances])
    assert 0.035 <= alarms <= 0.06


def test_so_many_samples_show_the_difference_four_times_in_five() -> None:
    count = int(samples_needed(spread=1.0, difference=0.3))
    assert count == 69  # (1.6449 + 0.8416)² / 0.09
    values = np.random.default_rng(5).normal(0.3, 1, (WORLDS, count))
    above, _ = flipped(values)
    assert 0.76 <= (above <= 0.05).mean() <= 0.84
    assert samples_needed(1.0, 0.0) == float("inf")


def test_wilson_is_symmetric() -> None:
    low, high = wilson(3, 12, 0.9)
    other = wilson(9, 12, 0.9)
    assert (1 - high, 1 - low) == pytest.approx(other)
