"""The index finds what flat search finds, forgets what is taken out, and outlives its process."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luciole import neighbours
from luciole.cells import Directions, Names
from luciole.neighbours import IndexDamaged, Neighbours

DIMENSION = 24


def clustered(count: int, seed: int = 0) -> Directions:
    """Families of twenty around common centres."""
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((-(-count // 20), DIMENSION))
    rows = centres.repeat(20, 0)[:count] + 0.3 * chance.standard_normal((count, DIMENSION))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def filled(rows: Directions, first: int = 0, step: int = 10_000) -> Neighbours:
    index = Neighbours(DIMENSION)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        names = np.arange(first + start, first + start + len(part))
        index.add(names, part, np.ones_like(names))
    return index


@pytest.fixture
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells for few vectors already."""
    monkeypatch.setattr(neighbours, "EXACT", 1000)


def test_few_vectors_are_searched_exactly() -> None:
    rows = clustered(500)
    index = filled(rows)
    truth = np.argsort(-(rows @ rows.T), axis=1)[:, :10]
    for row, expected in zip(rows[:50], truth[:50], strict=True):
        found = index.search(row, 10, lambda names: rows[names])
        assert [name for name, _ in found] == expected.tolist()
        assert [cosine for _, cosine in found] == pytest.approx((rows @ row)[expected], abs=1e-6)


@pytest.mark.usefixtures("small_cells")
def test_many_vectors_take_a_third_of_the_memory_and_nearly_all_are_found() -> None:
    rows = clustered(20_000)
    index = filled(rows)
    ask = clustered(200, seed=0)
    truth = np.argsort(-(ask @ rows.T), axis=1)[:, :10]
    found = [[name for name, _ in index.search(row, 10, lambda names: rows[names])] for row in ask]
    recall = [len({*a} & {*b}) / 10 for a, b in zip(found, truth.tolist(), strict=True)]
    assert np.mean(recall) >= 0.99
    # Names weigh the same in any dimension; at 768 this is a third of what the vectors weigh.
    assert index.nbytes <= len(rows) * (1.2 * DIMENSION + 100)


@pytest.mark.usefixtures("small_cells")
def test_cosines_are_those_of_the_exact_vectors_and_not_of_their_codes() -> None:
    rows = clustered(2000)
    index = filled(rows)
    name, cosine = index.search(rows[7], 1, lambda names: rows[names])[0]
    assert name == 7
    assert cosine == pytest.approx(1, abs=1e-6)


def test_who_is_gone_from_the_truth_is_not_found() -> None:
    rows = clustered(50)
    index = filled(rows)

    def exact(names: Names) -> Directions:
        return np.where((names == 3)[:, None], 0, rows[names]).astype(np.float32)

    assert 3 not in [name for name, _ in index.search(rows[3], 50, exact)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 3)), max_size=30))
def test_an_index_holds_what_was_added_and_not_taken_out(
    changes: list[tuple[bool, int, int]],
) -> None:
    index, known = Neighbours(DIMENSION), dict[int, int]()
    rows = clustered(31)
    for adds, name, version in changes:
        if adds:
            index.add(np.array([name]), rows[[name]], np.array([version]))
            known[name] = version
        else:
            index.remove(np.array([name]))
            known.pop(name, None)
    assert dict(zip(index.names.tolist(), index.versions.tolist(), strict=True)) == known
    found = {name for name, _ in index.search(rows[0], 40, lambda names: rows[names])}
    assert found == known.keys()


@pytest.mark.usefixtures("small_cells")
def test_growing_past_the_cells_makes_new_ones_and_loses_nothing() -> None:
    rows = clustered(6000)
    index = filled(rows, step=500)
    assert len(index) == 6000
    for name in (0, 999, 1001, 5999):
        assert index.search(rows[name], 1, lambda names: rows[names])[0][0] == name


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize("count", [0, 5, 3000])
def test_a_saved_index_comes_back_with_its_facts(count: int, tmp_path: Path) -> None:
    rows = clustered(max(count, 1))
    index = filled(rows[:count])
    index.save(tmp_path / "index", {"tenant": "ours"})
    again, facts = Neighbours.open(tmp_path / "index")
    assert facts == {"tenant": "ours"}
    assert again.names.tolist() == index.names.tolist()
    ask = rows[0]
    assert again.search(ask, 5, lambda names: rows[names]) == index.search(
        ask, 5, lambda names: rows[names]
    )
    again.add(np.array([count]), rows[[0]], np.array([2]))
    assert len(again) == count + 1


@pytest.mark.parametrize("harm", [b"", b"no index", b"PK\x03\x04"])
def test_a_damaged_file_says_so(harm: bytes, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(harm)
    with pytest.raises(IndexDamaged, match="index: cannot be read"):
        Neighbours.open(tmp_path / "index")


@pytest.mark.usefixtures("small_cells")
def test_a_removed_vector_leaves_the_file_too(tmp_path: Path) -> None:
    rows = clustered(3000)
    index = filled(rows, first=1 << 40)
    gone = (1 << 40) + 77
    index.remove(np.array([gone]))
    index.save(tmp_path / "index", {})
    assert gone.to_bytes(8, "little") not in (tmp_path / "index").read_bytes()
