"""The table of measured speeds."""

import json
from collections import deque
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import torch
from rich.console import Console

from evals.bench import engine_gpu, result
from evals.bench.__main__ import table
from evals.bench.engine_gpu import Bench, measure
from evals.bench.engine_load import (
    Request,
    _arrivals,
    _served,
    any_step,
    in_turn,
    paying_rows,
    prices,
    same_style,
)
from evals.bench.engine_plot import better, place, plot
from evals.bench.result import Figure, median


def test_the_median_lies_in_its_interval() -> None:
    value, low, high = median([1.0, 1.2, 1.1, 1.3, 5.0])
    assert value == 1.2
    assert 1.0 <= low <= value <= high <= 5.0
    assert median([2.0] * 5) == (2.0, 2.0, 2.0)


def test_a_goal_is_missed_on_its_own_side() -> None:
    assert not Figure("speed", 1.5, 1.4, 1.6, "x", 1.6, "higher", "").reached
    assert Figure("wait", 1.5, 1.4, 1.6, "s", 1.6, "lower", "").reached


def test_results_come_back_as_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "RESULTS", tmp_path)
    missed = Figure("samples a CPU-second", 1.5, 1.4, 1.55, "x", 1.6, "higher", "a plain loop")
    file = result.write("train_style", [missed], ["torch"], "a note")
    assert {"machine", "versions", "command", "figures"} <= set(json.loads(file.read_text()))
    console = Console(width=120, record=True, force_terminal=True)
    console.print(table(tmp_path))
    shown = console.export_text(styles=True)
    assert "1.4 to 1.55" in shown
    assert "\x1b[31m" in shown


def test_a_figure_at_its_goal_is_drawn_in_the_middle_and_better_ones_to_the_right() -> None:
    faster = Figure("speed", 3.0, 3.0, 3.0, "x", 1.5, "higher", "")
    slower = Figure("a < time", 3.0, 3.0, 3.0, "s", 1.5, "lower", "")
    assert (better(faster, 3.0), better(slower, 3.0)) == (2.0, 0.5)
    assert place(2.0) - place(1.0) == pytest.approx(place(1.0) - place(0.5))
    drawn = ET.fromstring(plot([faster, slower]))  # noqa: S314 - our own
    circles = [float(one.attrib["cx"]) for one in drawn.iter() if one.tag.endswith("circle")]
    assert circles == pytest.approx([place(2.0), place(0.5)], abs=0.1)


COST = {1: 1.0, 2: 1.2, 4: 2.0, 8: 4.0, 16: 8.0}
PRICE = [0.0, *[1.0] * 8]


def test_rows_pay_until_a_row_costs_no_less() -> None:
    assert paying_rows(COST) == 4
    assert paying_rows({1: 1.0, 2: 1.9, 4: 3.6, 8: 6.0, 16: 8.0}) == 16


def test_a_newcomer_goes_first_and_then_who_is_due_first() -> None:
    late, soon, begun = (Request(0.0, 1, 4, False, due) for due in (9.0, 5.0, 1.0))
    begun.done = 1
    chosen = any_step(PRICE, 2, deque([late]), [begun, soon], 0.0)
    assert [one.due for one in chosen] == [5.0, 9.0]


def test_who_is_on_time_alone_and_late_in_company_goes_alone() -> None:
    price = [0.0, 1.0, 1.0, 1.0, 2.0]
    for due, alone in ((3.0, False), (5.0, True), (9.0, True), (10.0, False)):
        running = [Request(0.0, 1, 4, False, due), Request(0.0, 2, 4, False, 99.0)]
        assert (len(any_step(price, 2, deque(), running, 0.0)) == 1) == alone


def test_a_batch_of_one_style_begins_with_who_can_still_be_on_time() -> None:
    hopeless, hopeful, alike, other = (
        Request(0.0, style, 4, False, due)
        for style, due in ((1, 6.0), (2, 9.0), (2, 20.0), (3, 10.0))
    )
    waiting, running = deque([hopeless, other, alike, hopeful]), list[Request]()
    assert same_style(partial(in_turn, PRICE), waiting, running, now=3.0) == [alike, hopeful]
    assert list(waiting) == [hopeless, other]


def test_at_a_trickle_everybody_is_served_alone_and_at_once() -> None:
    alone = _arrivals(1e-7, COST, seed=0)
    share, wait = _served(partial(any_step, prices(COST), 2), COST, alone)
    assert (share, wait) == (1.0, 0.0)
    assert all(one.end - one.arrival == pytest.approx((one.due - one.arrival) / 3) for one in alone)


def test_the_script_for_gpus_measures_all_its_parts_in_a_small_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", lambda way, **_: way)
    monkeypatch.setattr(engine_gpu, "LONG", 2)
    monkeypatch.setattr(engine_gpu, "SHORT", 2)
    bench = Bench("cpu", rounds=1, side=8, warm=0)
    measure(bench, tiny=True)
    assert bench.left_out == []
    assert len(bench.figures) == 18
    error = bench.figures[0]
    assert 0 < error.value < 0.05
    bench.began -= 600
    assert not bench.within_time("more")
    assert bench.left_out == ["more"]
