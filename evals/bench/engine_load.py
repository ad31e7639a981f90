"""A day's load on one engine, simulated from the measured price of a call by its rows.

Requests arrive by chance (Poisson), ask for one of 50 styles (Zipf) and for 4, 20 or 30 steps with
guidance, so two rows a step; a quarter has a control picture, which costs each of its steps a call
of one more row. The engine does one call at a time, of at most 16 rows. Each request is due after
three times as long as its steps take alone. Whose turn it is says the service's own rule, in every
way to batch: the others pick the next whole batch by it, or in the order of arrival. Batches of one
style are priced without the style, as if it were merged into the weights at no cost.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from luciole.engines.urgency import goes_alone, urgency

MOST_ROWS = 16
PAYING = 1.1
REQUESTS = 400
STYLES = 50
STEPS = (4, 20, 30)
WITHIN = 3.0
SHARE = 0.95


@dataclass
class Request:
    """One picture; times in seconds."""

    arrival: float
    style: int
    steps: int
    control: bool
    due: float
    done: int = 0
    first: float | None = None
    end: float = 0.0


@dataclass(frozen=True)
class Day:
    """The highest rate that keeps the promise, and how many seconds requests wait at it, p99."""

    rate: float
    wait: float


Pick = Callable[[deque[Request], list[Request], float], list[Request]]
"""Whom the next step is for, of those that wait and those that are under way, at this time."""
Order = Callable[[Request, float], tuple[bool, bool, float]]
"""What sorts first has the next turn at this time."""


def goodput(mixed: Mapping[int, float], plain: Mapping[int, float], seed: int) -> dict[str, Day]:
    """Requests a second of several ways to batch, of which 95 % are within 3 times the solo time.

    Costs by rows: of a call with a style in every row, and of one without.
    """
    most = paying_rows(mixed) // 2
    styled, merged = prices(mixed), prices(plain)
    ours = partial(any_step, styled, most)
    ordered = partial(same_style, partial(in_turn, merged))
    return {
        "ours": _highest(ours, mixed, mixed, seed),
        "by style": _highest(ordered, plain, mixed, seed),
        "by style, first come": _highest(partial(same_style, first_come), plain, mixed, seed),
        "static": _highest(partial(whole_batches, partial(in_turn, styled)), mixed, mixed, seed),
    }


def in_turn(price: Sequence[float], one: Request, now: float) -> tuple[bool, bool, float]:
    """As `StepBatcher` orders requests; `price` is of a call, by its rows."""
    left = price[2 + one.control] * (one.steps - one.done)
    begun = one.done > 0
    return urgency(begun=begun, opened=one.arrival, due=one.due, left=left, now=now)


def first_come(one: Request, _: float) -> tuple[bool, bool, float]:
    """In the order of arrival."""
    return one.done > 0, False, one.arrival


def paying_rows(cost: Mapping[int, float]) -> int:
    """The fewest rows that cost at most a tenth more each than in the cheapest call."""
    each = {rows: seconds / rows for rows, seconds in cost.items()}
    return min(rows for rows in each if rows > 1 and each[rows] <= PAYING * min(each.values()))


def full_step(cost: Mapping[int, float]) -> float:
    """Seconds of the longest step of ours: all its requests have a control picture."""
    return _price(paying_rows(cost) // 2 * 3, cost)


def any_step(
    price: Sequence[float],
    most: int,
    waiting: deque[Request],
    running: list[Request],
    now: float,
) -> list[Request]:
    """Whoever is there joins at the next step, as `StepBatcher` lets them."""
    running += waiting
    waiting.clear()
    ordered = sorted(running, key=lambda one: in_turn(price, one, now))
    first = ordered[0]
    hasty = goes_alone(
        due=first.due,
        now=now,
        steps=first.steps - first.done,
        alone=price[2 + first.control],
        together=price[2 * most + first.control],
    )
    return ordered[: 1 if hasty else most]


def same_style(
    order: Order, waiting: deque[Request], running: list[Request], now: float
) -> list[Request]:
    """A batch of one style, step count and kind, until its last step."""
    if not running and waiting:
        head = min(waiting, key=lambda one: order(one, now))
        alike = [one for one in waiting if _kind(one) == _kind(head)]
        _start(alike[: MOST_ROWS // 2], waiting, running)
    return list(running)


def whole_batches(
    order: Order, waiting: deque[Request], running: list[Request], now: float
) -> list[Request]:
    """Any mix in a batch, but nobody joins before all of it is done."""
    if not running and waiting:
        ordered = sorted(waiting, key=lambda one: order(one, now))
        _start(ordered[: MOST_ROWS // 2], waiting, running)
    return list(running)


def _start(chosen: list[Request], waiting: deque[Request], running: list[Request]) -> None:
    running += chosen
    for one in chosen:
        waiting.remove(one)


def _kind(one: Request) -> tuple[int, int, bool]:
    return one.style, one.steps, one.control


def _highest(pick: Pick, cost: Mapping[int, float], alone: Mapping[int, float], seed: int) -> Day:
    """By bisection over the rate; `alone` prices what a request is promised."""
    low, high, wait = 0.0, 4 * MOST_ROWS / (2 * min(STEPS) * cost[MOST_ROWS]), 0.0
    for _ in range(14):
        rate = (low + high) / 2
        served, late = _served(pick, cost, _arrivals(rate, alone, seed))
        if served >= SHARE:
            low, wait = rate, late
        else:
            high = rate
    return Day(low, wait)


def _served(pick: Pick, cost: Mapping[int, float], everybody: list[Request]) -> tuple[float, float]:
    """The share that was fast enough, and the 99th percentile of the wait for the first step."""
    price = prices(cost)
    coming = deque(everybody)
    waiting: deque[Request] = deque()
    running: list[Request] = []
    now = 0.0
    while coming or waiting or running:
        while coming and coming[0].arrival <= now:
            waiting.append(coming.popleft())
        if not waiting and not running:
            now = coming[0].arrival
            continue
        chosen = pick(waiting, running, now)
        for one in chosen:
            one.first = now if one.first is None else one.first
        now += price[2 * len(chosen) + sum(one.control for one in chosen)]
        for one in chosen:
            one.done += 1
            if one.done == one.steps:
                one.end = now
                running.remove(one)
    waits = [(one.first or 0.0) - one.arrival for one in everybody]
    fast = float(np.mean([one.end <= one.due for one in everybody]))
    return fast, float(np.percentile(waits, 99))


def _arrivals(rate: float, alone: Mapping[int, float], seed: int) -> list[Request]:
    chance = np.random.default_rng(seed)
    times = np.cumsum(chance.exponential(1 / rate, REQUESTS))
    zipf = 1 / np.arange(1, STYLES + 1)
    styles = chance.choice(STYLES, REQUESTS, p=zipf / zipf.sum())
    steps, control = chance.choice(STEPS, REQUESTS), chance.random(REQUESTS) < 0.25
    solo = [_price(2, alone), _price(3, alone)]
    told = zip(times.tolist(), styles.tolist(), steps.tolist(), control.tolist(), strict=True)
    return [Request(t, s, n, c, t + WITHIN * n * solo[c]) for t, s, n, c in told]


def prices(cost: Mapping[int, float]) -> list[float]:
    """Seconds of a call by its rows."""
    return [_price(rows, cost) for rows in range(2 * MOST_ROWS + 1)]


def _price(rows: int, cost: Mapping[int, float]) -> float:
    """Between the measured sizes on straight lines; beyond the largest in several calls."""
    calls, rest = divmod(rows, MOST_ROWS)
    sizes = sorted(cost)
    part = float(np.interp(rest, sizes, [cost[size] for size in sizes])) if rest else 0.0
    return calls * cost[MOST_ROWS] + part
