"""Louder and quieter words: what they do to the states, in closed form."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from luciole.bundle import Bundle
from luciole.conditioning import Conditioner, Words
from luciole.domain import Emphasis, RenderPlan, SolverName
from luciole.engines.onnx import OnnxEngine

TEXT = "a girl walking in rain"
RAIN = (TEXT.index("rain"), len(TEXT))


def plan(prompt: str = TEXT, negative: str = "red hair", *emphasis: Emphasis) -> RenderPlan:
    return RenderPlan(
        prompt=prompt,
        negative_prompt=negative,
        emphasis=emphasis,
        width=64,
        height=64,
        steps=1,
        guidance_scale=3.0,
        seed=1,
        solver=SolverName.EULER,
    )


def loud(weight: float, start: int = RAIN[0], end: int = RAIN[1], **more: Any) -> Emphasis:
    return Emphasis(start=start, end=end, weight=weight, **more)


@pytest.fixture(scope="module")
def conditioner(guided_bundle: Bundle) -> Iterator[Conditioner]:
    engine = OnnxEngine(guided_bundle, threads=1)
    yield Conditioner(engine)
    engine.close()


def words(conditioner: Conditioner, ask: RenderPlan) -> Words:
    return conditioner([ask], [None])[0].prompt


def test_weight_one_changes_nothing_and_weight_zero_says_nothing(conditioner: Conditioner) -> None:
    plain = words(conditioner, plan()).states
    np.testing.assert_array_equal(words(conditioner, plan(TEXT, "", loud(1.0))).states, plain)
    silence, muted = words(conditioner, plan("")), words(conditioner, plan(TEXT, "", loud(0.0)))
    changed = np.flatnonzero(np.abs(muted.states - plain).max(axis=1) > 1e-6)
    # BOS and four words stand before it; the tiny vocabulary has "rain" as one token.
    assert changed.tolist() == [5]
    np.testing.assert_allclose(muted.states[5], silence.states[5], atol=1e-5)


def test_states_move_on_a_line_with_the_weight(conditioner: Conditioner) -> None:
    quiet, plain, louder, loudest = (
        words(conditioner, plan(TEXT, "", loud(weight))).states for weight in (0.5, 1, 1.5, 2)
    )
    np.testing.assert_allclose(louder - plain, plain - quiet, atol=1e-4)
    np.testing.assert_allclose(loudest - plain, 2 * (louder - plain), atol=1e-4)


def test_emphasis_of_the_negative_prompt_leaves_the_prompt_alone(conditioner: Conditioner) -> None:
    ask = plan(TEXT, "red hair", loud(1.5, 0, 3, negative=True))
    [told], [plain] = conditioner([ask], [None]), conditioner([plan()], [None])
    assert told.negative is not None
    assert plain.negative is not None
    np.testing.assert_array_equal(told.prompt.states, plain.prompt.states)
    assert np.abs(told.negative.states - plain.negative.states).max() > 1e-3


def test_emphasis_in_a_later_window_acts_there(conditioner: Conditioner) -> None:
    long = "girl " * 80 + "rain"
    ask = plan(long, "", loud(2.0, len(long) - 4, len(long)))
    difference = np.abs(words(conditioner, ask).states - words(conditioner, plan(long)).states)
    changed = np.flatnonzero(difference.max(axis=1) > 1e-6)
    assert changed.tolist() == [77 + 1 + 5]


@pytest.mark.parametrize(("start", "end"), [(3, 3), (5, 2), (0, len(TEXT) + 1)])
def test_emphasis_beyond_the_words_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValidationError, match="lies outside"):
        plan(TEXT, "", loud(1.2, start, end))
