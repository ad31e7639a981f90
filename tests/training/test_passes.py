"""A pass trains what is left, in order, and ends in time."""

from pathlib import Path

import pytest

from training.__main__ import FINISHED
from training.passes import PARTS, command, run_pass


class Machine:
    """Pretends to train: every part takes a while and may end before it is finished."""

    def __init__(self, out: Path, seconds: float, finishes: bool = True) -> None:
        self.out, self.seconds, self.finishes = out, seconds, finishes
        self.now, self.trained = 0.0, []

    def clock(self) -> float:
        return self.now

    def call(self, words: list[str]) -> None:
        part = next(word for word in words if word.startswith("experiment=")).split("=")[1]
        self.trained.append(part)
        self.now += self.seconds
        if self.finishes:
            folder = self.out / "runs" / part
            folder.mkdir(parents=True)
            (folder / FINISHED).touch()


def test_parts_are_trained_in_order_until_the_time_is_up(tmp_path: Path) -> None:
    machine = Machine(tmp_path, seconds=200)
    todo = run_pass(540, tmp_path, [], machine.call, machine.clock)
    assert machine.trained == list(PARTS[:3])
    assert todo == [PARTS[3]]


def test_the_next_pass_begins_with_what_is_left(tmp_path: Path) -> None:
    first = Machine(tmp_path, seconds=510)
    run_pass(540, tmp_path, [], first.call, first.clock)
    second = Machine(tmp_path, seconds=100)
    assert run_pass(540, tmp_path, [], second.call, second.clock) == []
    assert second.trained == list(PARTS[1:])


def test_a_part_that_ran_out_of_time_is_still_to_do(tmp_path: Path) -> None:
    machine = Machine(tmp_path, seconds=520, finishes=False)
    assert run_pass(540, tmp_path, [], machine.call, machine.clock) == list(PARTS)


def test_an_override_reaches_its_part_alone() -> None:
    words = ["pocket_base:trainer.max_steps=9", "pocket_clip:seed=3"]
    mine = command("pocket_base", 3725, Path("out"), words)
    assert mine[-1] == "trainer.max_steps=9"
    assert "trainer.max_time='00:01:02:05'" in mine
    assert "seed=3" not in mine


def test_an_override_of_no_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pocket_bass:seed=1"):
        run_pass(540, tmp_path, ["pocket_bass:seed=1"])
