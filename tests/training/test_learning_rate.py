"""The learning rate by step."""

import math

import pytest
import torch

from training.learning_rate import warmup_cosine


def rates(steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, warmup=10, steps=110, floor=0.1)
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def test_it_rises_evenly_to_the_peak() -> None:
    assert rates(10) == pytest.approx([0.2 * (i + 1) for i in range(10)])


def test_it_falls_as_half_a_cosine_and_stays_on_the_floor() -> None:
    found = rates(150)
    assert found[60] == pytest.approx(2 * (0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2))
    assert found[110:] == pytest.approx([0.2] * 40)
