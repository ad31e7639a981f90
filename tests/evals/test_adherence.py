"""Counting words in pictures: what is counted, and how sure one can be."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from evals.adherence import adherence, real_pictures
from evals.prompts import MEASURED, held_out_prompts
from evals.sample import Images
from evals.statistics import Share


def test_prompts_come_from_held_out_scenes_and_name_what_is_measured() -> None:
    prompts = held_out_prompts(40)
    assert len({prompt.text for prompt in prompts}) == 40
    for prompt in prompts:
        assert prompt.scene.place_held_out
        assert prompt.scene.actors[0].identity.held_out
        for kind in ("hair_color", "outfit_color"):
            assert prompt.promised[kind] in prompt.text


def test_a_judge_that_is_always_right_finds_everything() -> None:
    prompts = held_out_prompts(12)

    def oracle(pictures: Images) -> Mapping[str, Sequence[str]]:
        return {kind: [p.promised[kind] for p in prompts] for kind in MEASURED}

    result = adherence(prompts, real_pictures(prompts, 32), oracle)
    assert result.overall == Share(12 * len(MEASURED), 12 * len(MEASURED))


def test_a_judge_that_sees_one_thing_everywhere_finds_its_share() -> None:
    prompts = held_out_prompts(30)

    def stubborn(pictures: Images) -> Mapping[str, Sequence[str]]:
        return {kind: [prompts[0].promised[kind]] * len(pictures) for kind in MEASURED}

    result = adherence(prompts, real_pictures(prompts, 32), stubborn)
    for kind in MEASURED:
        same = sum(p.promised[kind] == prompts[0].promised[kind] for p in prompts)
        assert result.kinds[kind] == Share(same, 30)


def test_a_missing_picture_is_refused() -> None:
    prompts = held_out_prompts(3)
    with pytest.raises(ValueError, match="2 for 3 prompts"):
        adherence(prompts, np.zeros((2, 8, 8, 3), np.uint8), lambda pictures: {})


def test_wilson_interval_has_its_published_values() -> None:
    low, high = Share(8, 10).interval
    assert (low, high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert Share(0, 20).interval[0] == 0
    assert Share(20, 20).interval[1] == 1


def test_wilson_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    covered = [
        low <= 0.8 <= high
        for low, high in (Share(int(h), 200).interval for h in rng.binomial(200, 0.8, 4000))
    ]
    assert 0.93 < np.mean(covered) < 0.97
