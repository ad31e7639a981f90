"""The interference of two styles, against closed forms."""

import numpy as np
import pytest

from luciole.engines.bank import Factors, Style
from serving.orchestration.styles.interference import (
    Interference,
    Shape,
    Verdict,
    interference,
)

DOWN, MID = "down_blocks.1.attentions.0.proj_in", "mid_block.attentions.0.proj_in"


def style(rank: int, seed: int, wide: int = 40, paths: tuple[str, ...] = (DOWN, MID)) -> Style:
    chance = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return chance.standard_normal(shape).astype(np.float32)

    return {path: Factors(matrix(rank, wide), matrix(wide, rank)) for path in paths}


def rank_one(reads: list[float], writes: list[float]) -> Style:
    down, up = np.array([reads], np.float32), np.array([writes], np.float32).T
    return {DOWN: Factors(down, up)}


def times(one: Style, factor: float) -> Style:
    return {path: Factors(f.down, f.up * np.float32(factor)) for path, f in one.items()}


def pair(one: Style, other: Style) -> Interference:
    return interference({"a": Shape(one), "b": Shape(other)})[0]


def test_a_style_interferes_wholly_with_itself_and_with_its_opposite() -> None:
    ink = style(4, seed=1)
    same, opposite = pair(ink, times(ink, 0.3)), pair(ink, times(ink, -2.0))
    assert same.score == pytest.approx(1)
    assert opposite.score == pytest.approx(1)
    assert same.agreement == pytest.approx(1)
    assert opposite.agreement == pytest.approx(-1)
    assert same.verdict is Verdict.STRONG


def test_styles_that_read_or_write_elsewhere_do_not_interfere() -> None:
    one = rank_one([1, 0, 0], [1, 0, 0])
    reads_elsewhere = rank_one([0, 1, 0], [1, 0, 0])
    writes_elsewhere = rank_one([1, 0, 0], [0, 0, 1])
    for other in (reads_elsewhere, writes_elsewhere):
        found = pair(one, other)
        assert found.score == pytest.approx(0, abs=1e-12)
        assert found.agreement == pytest.approx(0, abs=1e-12)


def test_for_rank_one_the_score_is_the_absolute_cosine_of_the_changes() -> None:
    chance = np.random.default_rng(3)
    for _ in range(10):
        a, b, c, d = chance.standard_normal((4, 12))
        found = pair(rank_one(list(a), list(b)), rank_one(list(c), list(d)))
        one, other = np.outer(b, a), np.outer(d, c)
        cosine = (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)
        assert found.score == pytest.approx(abs(cosine), abs=1e-5)
        assert found.agreement == pytest.approx(cosine, abs=1e-5)


def test_agreement_is_the_cosine_of_the_whole_changes_for_any_rank() -> None:
    one, other = style(3, seed=4), style(5, seed=5)
    flat = [
        np.concatenate([(s[path].up @ s[path].down).ravel() for path in (DOWN, MID)])
        for s in (one, other)
    ]
    cosine = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert pair(one, other).agreement == pytest.approx(cosine, abs=1e-5)


def test_the_order_and_the_loudness_of_the_two_do_not_matter() -> None:
    one, other = style(3, seed=6), style(4, seed=7)
    found, turned, louder = pair(one, other), pair(other, one), pair(times(one, 9), other)
    assert found.score == pytest.approx(turned.score)
    assert found.score == pytest.approx(louder.score)


def test_random_styles_interfere_by_chance_alone() -> None:
    scores = [pair(style(4, seed), style(4, seed + 50)) for seed in range(12)]
    mean = np.mean([one.score for one in scores])
    assert mean == pytest.approx(scores[0].chance, rel=0.1)
    assert scores[0].chance == pytest.approx(4 / 40, rel=0.1)
    assert {one.verdict for one in scores} == {Verdict.APART}


def test_layers_that_only_one_of_them_changes_are_no_conflict() -> None:
    one, other = style(2, seed=8, paths=(DOWN,)), style(2, seed=9, paths=(MID,))
    assert pair(one, other).score == 0
    half = {**style(2, seed=8, paths=(DOWN,)), **times(style(2, seed=10, paths=(MID,)), 0)}
    assert pair(half, other).score == 0


def test_blocks_show_where_the_conflict_lies() -> None:
    shared, apart = style(2, seed=11, paths=(DOWN,)), style(2, seed=12, paths=(MID,))
    other = {**shared, MID: Factors(-apart[MID].down[::-1], apart[MID].up[::-1].copy())}
    found = pair({**shared, **apart}, other)
    assert found.blocks["down.1"] == pytest.approx(1)
    assert found.blocks["mid"] < 0.9


def test_all_pairs_are_told_the_strongest_first() -> None:
    ink = style(3, seed=13)
    shapes = {"ink": Shape(ink), "far": Shape(style(3, seed=14)), "copy": Shape(ink)}
    found = interference(shapes)
    assert len(found) == 3
    assert (found[0].first, found[0].second) == ("ink", "copy")
    assert interference({"ink": Shape(ink)}) == []
