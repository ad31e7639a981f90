"""Distances between sets of pictures have their closed forms, and honest uncertainty."""

from collections.abc import Callable

import numpy as np
import pytest

from evals.distances import clip_distance, frechet, kernel_distance, precision, recall, vendi

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def points(count: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


def test_fid_of_a_moved_set_is_the_squared_way() -> None:
    real = points(60, 5, 0)
    way = np.array([1.0, 0, 2.0, 0, 0])
    assert frechet(real + way, real).mean() == pytest.approx(5.0)


def test_fid_of_a_scaled_set_is_what_the_gaussians_say() -> None:
    real = points(60, 4, 1)
    real -= real.mean(axis=0)
    spread = (real**2).sum() / len(real)
    assert frechet(3 * real, real).mean() == pytest.approx((3 - 1) ** 2 * spread)


def test_fid_agrees_with_the_matrix_square_root() -> None:
    drawn, real = points(50, 4, 2) * [1, 2, 1, 3], points(50, 4, 3)
    first, second = np.cov(drawn.T, bias=True), np.cov(real.T, bias=True)
    values = np.linalg.eigvals(first @ second)
    expected = ((drawn.mean(0) - real.mean(0)) ** 2).sum()
    expected += np.trace(first) + np.trace(second) - 2 * np.sqrt(values.astype(complex)).sum().real
    assert frechet(drawn, real).mean() == pytest.approx(expected)


def test_fid_of_a_set_with_itself_is_nothing_even_with_few_pictures() -> None:
    real = points(12, 40, 4)
    assert frechet(real, real).mean() == pytest.approx(0, abs=1e-9)


def test_kid_is_the_sum_over_all_pairs() -> None:
    drawn, real = points(9, 3, 5) + 0.5, points(9, 3, 6)
    k = lambda a, b: (a @ b / 3 + 1) ** 3  # noqa: E731
    n = len(drawn)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    within = sum(k(drawn[i], drawn[j]) + k(real[i], real[j]) for i, j in pairs) / len(pairs)
    between = np.mean([k(a, b) for a in drawn for b in real])
    assert kernel_distance(drawn, real).mean() == pytest.approx(within - 2 * between)


def test_cmmd_is_a_thousand_times_the_mmd_of_unit_vectors() -> None:
    drawn, real = points(8, 3, 7) + 1, points(8, 3, 8)
    x, y = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (drawn, real))
    k = lambda a, b: np.mean([np.exp(-((p - q) ** 2).sum() / 200) for p in a for q in b])  # noqa: E731
    expected = 1000 * (k(x, x) + k(y, y) - 2 * k(x, y))
    assert clip_distance(drawn, real).mean() == pytest.approx(expected)
    assert clip_distance(real, 2 * real).mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("distance", [frechet, kernel_distance, clip_distance])
def test_a_score_is_what_leaving_its_prompt_out_would_change(distance: Distance) -> None:
    drawn, real = points(200, 4, 9) * [1, 1, 2, 1] + 0.4, points(200, 4, 10)
    scores = distance(drawn, real)
    value = scores.mean()
    for i in (0, 17, 120):
        without = distance(np.delete(drawn, i, axis=0), np.delete(real, i, axis=0)).mean()
        change = (len(real) - 1) * (value - without)
        assert scores[i] - value == pytest.approx(change, rel=0.1, abs=0.05 * scores.std())


@pytest.mark.parametrize("distance", [frechet, kernel_distance, clip_distance])
def test_the_spread_of_the_scores_is_that_of_the_distance(distance: Distance) -> None:
    rng = np.random.default_rng(11)
    runs = [distance(rng.normal(0.8, 1.3, (150, 4)), rng.normal(0, 1, (150, 4))) for _ in range(60)]
    seen = np.std([one.mean() for one in runs], ddof=1)
    told = np.mean([one.std(ddof=1) / np.sqrt(150) for one in runs])
    assert told == pytest.approx(seen, rel=0.3)


def test_precision_and_recall_see_what_is_missing_and_what_is_strange() -> None:
    real = np.concatenate([points(50, 2, 12), points(50, 2, 13) + 40])
    only_first = np.concatenate([points(50, 2, 14), points(50, 2, 15)])
    assert precision(only_first, real).mean() > 0.8
    assert recall(only_first, real).mean() == pytest.approx(0.5, abs=0.1)
    assert precision(real + 1000, real).mean() == 0
    assert recall(real, real).mean() == precision(real, real).mean() == 1


def test_the_vendi_score_counts_different_pictures() -> None:
    same = np.ones((1, 4, 5))
    different = np.eye(5)[None, :4]
    two_kinds = np.eye(5)[None, [0, 0, 1, 1]]
    assert vendi(np.concatenate([same, different, two_kinds])) == pytest.approx([1, 4, 2])
