"""Vectors by the hash of their causes."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from luciole.data import store as module
from luciole.data.store import Store, key_of

KEYS = [key_of(f"{i}") for i in range(9)] + [b"\1" * 15 + b"\0"]
VECTORS = [np.full(i + 1, i, np.float16) for i in range(10)]


def array(keys: list[bytes]) -> np.ndarray:
    return np.array(keys, "S16")


def test_what_was_added_is_found_again_in_any_order(tmp_path: Path) -> None:
    store = Store(tmp_path, np.float16)
    assert store.find(array(KEYS)).tolist() == [-1] * 10
    store.add(KEYS[:4], VECTORS[:4])
    store.add(KEYS[4:], VECTORS[4:])
    for there in (store, Store(tmp_path, np.float16), pickle.loads(pickle.dumps(store))):  # noqa: S301
        slots = there.find(array([*KEYS[::-1], key_of("other")]))
        assert slots[-1] == -1
        for i, slot in enumerate(slots[:-1]):
            assert np.array_equal(there.read(int(slot)), VECTORS[9 - i])


def test_slots_mean_the_same_in_another_process(tmp_path: Path) -> None:
    store = Store(tmp_path, np.float16)
    for i in range(9):
        store.add(KEYS[i : i + 1], VECTORS[i : i + 1])
    there = pickle.dumps(store)
    store.add(KEYS[9:], VECTORS[9:])
    elsewhere = pickle.loads(there)  # noqa: S301
    assert len(elsewhere) == 9
    for slot in range(9):
        assert np.array_equal(elsewhere.read(slot), VECTORS[slot])


def test_causes_do_not_run_together() -> None:
    assert key_of("a", "bc") != key_of("ab", "c")
    assert key_of("a", b"bc") == key_of("a", "bc")


@pytest.mark.parametrize("survivors", [0, 1])
def test_a_pack_that_was_broken_off_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    whole, left = module.np.save, [survivors]

    def save(*given: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        whole(*given)

    with monkeypatch.context() as broken:
        broken.setattr(module.np, "save", save)
        with pytest.raises(KeyboardInterrupt):
            Store(tmp_path, np.float16).add(KEYS, VECTORS)
    assert len(Store(tmp_path, np.float16)) == 0
    again = Store(tmp_path, np.float16)
    again.add(KEYS, VECTORS)
    assert (again.find(array(KEYS)) >= 0).all()


def test_a_pack_of_another_precision_or_length_is_named(tmp_path: Path) -> None:
    Store(tmp_path, np.float16).add(KEYS, VECTORS)
    with pytest.raises(ValueError, match=r"values\.npy: not what its index says; remove both"):
        Store(tmp_path, np.float32)
