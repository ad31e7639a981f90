"""Metrics mean what they say: right for real renders, wrong where something is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from evals.characters import SEEN, held_out_characters
from evals.checkpoint import Checkpoint
from evals.cost import peak_mb, spent
from evals.errors import EvaluationError
from evals.likeness import average_precision, copied, first_found, overlap, same_character
from evals.painters.known import KnownPictures
from evals.sample import Sample, Settings, reals
from evals.tasks import control as control_task
from evals.tasks.control import Control
from evals.tasks.identity import Identity
from evals.tasks.pictures import ClipScore, Diversity, Likeness
from evals.tasks.style import Blend, Style, kendall
from evals.tasks.words import Words
from luciole.data.pairs import held_out_character
from luciole.domain import SolverName
from luciole.models.estimator import CELL, ConditionEstimator
from luciole.storyworld import render, sample_scene

JUDGE = "evals/weights/judge"
EYE = "src/luciole/shipped/image_encoder"


def test_the_judge_reads_real_words_and_not_those_of_other_prompts() -> None:
    task = Words(12, JUDGE)
    samples = task.samples(0, 128)
    right = task.scores(samples, reals(samples))
    wrong = task.scores(samples, np.roll(reals(samples), 1, axis=0))
    assert right["words/all"].mean() > 0.9
    assert wrong["words/all"].mean() < 0.5
    kinds = [right[f"words/{kind}"] for kind in samples[0].promised]
    assert np.allclose(right["words/all"], np.mean(kinds, axis=0))
    assert np.array_equal(right["words/together"], np.prod(kinds, axis=0))


def test_real_renders_are_near_themselves_and_noise_is_far() -> None:
    task = Likeness(12, EYE)
    samples = task.samples(0, 128)
    real = reals(samples)
    noise = np.random.default_rng(0).integers(0, 255, real.shape, dtype=np.uint8)
    same, far = task.scores(samples, real), task.scores(samples, noise)
    assert same["picture/fid"].mean() == pytest.approx(0, abs=1e-3)
    assert same["picture/precision"].mean() == same["picture/recall"].mean() == 1
    for name in ("picture/fid", "picture/kid", "picture/cmmd"):
        assert far[name].mean() > same[name].mean() + 0.1
    assert far["picture/recall"].mean() < 0.5


def test_seeds_that_draw_the_same_have_no_diversity() -> None:
    task = Diversity(2, 3, EYE)
    samples = task.samples(0, 128)
    assert len({sample.seed for sample in samples}) == 6
    one = np.repeat(reals(Words(2, JUDGE).samples(0, 128)), 3, axis=0)
    assert task.scores(samples, one)["picture/diversity"] == pytest.approx([1, 1], abs=1e-6)


def test_a_clip_that_knows_nothing_of_the_world_is_refused() -> None:
    folder = "src/luciole/shipped/pocket"
    clip = {
        "image": EYE,
        "text": f"{folder}/text_encoder_2",
        "tokenizer": f"{folder}/tokenizer_2",
    }
    samples = ClipScore(12, clip).samples(0, 128)
    with pytest.raises(EvaluationError, match=r"finds .* of real renders' words"):
        ClipScore(12, clip, floor=1.1).scores(samples, reals(samples))
    with pytest.raises(EvaluationError, match=r"clip\.text: there is no folder"):
        ClipScore(12, {**clip, "text": "nowhere"}).scores(samples, reals(samples))


def test_characters_are_new_different_and_not_described() -> None:
    people = held_out_characters(20, poses=2)
    shown = {tuple(getattr(p.reference.actors[0].identity, s) for s in SEEN) for p in people}
    assert len(shown) == 20
    for person in people:
        who = person.reference.actors[0].identity
        assert held_out_character(who)
        scenes = (person.reference, *person.gallery, *person.asked)
        for one, other in pairwise(scenes):
            assert one.seed != other.seed
            for look in SEEN:
                assert getattr(other.actors[0].identity, look) == getattr(who, look)
        for prompt in person.prompts:
            assert who.hair_color + " hair" not in prompt
            assert who.accessory == "none" or who.accessory not in prompt


def test_a_reference_handed_back_is_known_again_and_called_a_copy() -> None:
    task = Identity(10, 1, JUDGE, JUDGE)
    samples = task.samples(0, 128)
    real = task.scores(samples, reals(samples))
    pasted = np.stack(KnownPictures("pasted", "reference").draw(samples))
    copy = task.scores(samples, pasted)
    other = task.scores(samples, np.roll(reals(samples), 1, axis=0))
    assert real["identity/top1"].mean() > 0.7
    assert other["identity/top1"].mean() < 0.3
    assert real["identity/copied"].mean() == 0
    assert copy["identity/copied"].mean() == 1
    assert copy["identity/outfit"].mean() < real["identity/outfit"].mean()


def test_a_copy_is_found_moved_and_mirrored() -> None:
    picture, other = (render(sample_scene(seed), maps=False).image for seed in (1, 2))
    moved = np.roll(picture, (8, -8), axis=(0, 1))
    stack = np.stack([picture, moved, picture[:, ::-1], other])
    assert copied(stack, np.stack([picture] * 4)).tolist() == [1, 1, 1, 0]
    assert overlap(picture, picture) == pytest.approx(1)


def test_rankings_have_their_closed_forms() -> None:
    alike = np.array([[0.9, 0.8, 0.1, 0.2], [0.1, 0.9, 0.8, 0.7]])
    asked, known = np.array([0, 1]), np.array([0, 1, 0, 1])
    assert first_found(alike, asked, known).tolist() == [1, 1]
    precision = [(1 / 1 + 2 / 4) / 2, (1 / 1 + 2 / 3) / 2]
    assert average_precision(alike, asked, known) == pytest.approx(precision)


def test_likeness_is_the_chance_to_agree_in_every_look() -> None:
    sure = {"a": np.eye(3), "b": np.eye(3)}
    unsure = {"a": np.full((1, 3), 1 / 3), "b": np.full((1, 3), 1 / 3)}
    found = np.exp(same_character(sure, sure))
    assert found == pytest.approx(np.eye(3), abs=1e-5)
    assert np.exp(same_character(unsure, sure)) == pytest.approx(np.full((1, 3), 1 / 9), rel=1e-4)


class Oracle(ConditionEstimator):
    """Knows the truth, `off` pixels beside it."""

    def __init__(self, task: Control, size: int, off: float) -> None:
        super().__init__([8, 8, 8])
        self.off, self.size, self.count = off, size, task.prompts
        self.at = 0

    def read(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scenes = islice(control_task._scenes(), self.count)
        truths = [render(scene, self.size, self.size) for scene in scenes]
        part = truths[self.at : self.at + len(pictures)]
        self.at += len(pictures)
        joints = torch.from_numpy(np.stack([one.keypoints[0, :, :2] for one in part]))
        depth = torch.from_numpy(np.stack([one.depth for one in part if one.depth is not None]))
        small = torch.nn.functional.avg_pool2d(depth[:, None], CELL)[:, 0]
        return joints + self.off, small


@pytest.mark.parametrize(
    ("kind", "off", "low", "high"),
    [("pose", 0.0, 0.99, 1.01), ("pose", 60.0, -0.01, 0.01), ("depth", 0.0, 0.99, 1.01)],
)
def test_an_oracle_finds_every_joint_and_all_depth(
    kind: str, off: float, low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Control(kind, 10, "unused")  # type: ignore[arg-type]
    samples = task.samples(0, 64)
    assert all(set(sample.controls) == {kind} for sample in samples)
    monkeypatch.setattr(ConditionEstimator, "load", lambda _: Oracle(task, 64, off))
    [scores] = task.scores(samples, reals(samples)).values()
    assert low <= scores.mean() <= high


def test_a_missing_estimator_is_named(tmp_path: Path) -> None:
    task = Control("pose", 10, str(tmp_path))
    samples = task.samples(0, 64)
    with pytest.raises(FileNotFoundError, match="no estimator there"):
        task.scores(samples, reals(samples))
    with pytest.raises(EvaluationError, match="neither pose nor depth"):
        _ = Control("edges", 10, "").metrics  # type: ignore[arg-type]


def test_weights_are_followed_in_order() -> None:
    assert kendall([0, 0.5, 1], [1.0, 2.0, 3.0]) == 1
    assert kendall([0, 0.5, 1], [3.0, 2.0, 1.0]) == -1
    assert kendall([0, 0.5, 1], [1.0, 3.0, 2.0]) == pytest.approx(1 / 3)


def test_a_style_is_asked_for_by_name_at_every_weight() -> None:
    task = Style("neon_night", "neon night", 2, (0.0, 0.5, 1.0), JUDGE, "")
    styles = [sample.styles for sample in task.samples(0, 64)]
    assert styles[:3] == [(), (("neon_night", 0.5),), (("neon_night", 1.0),)]
    assert len({s.seed for s in task.samples(0, 64)}) == 2
    blend = Blend({"ink": "ink", "pixel": "pixel", "pastel": "pastel"}, 1, JUDGE, "")
    assert blend.pairs == [("ink", "pixel"), ("pixel", "pastel")]
    with pytest.raises(EvaluationError, match="'oil' is unknown"):
        _ = replace(task, manner="oil").metrics


def test_a_picture_costs_time_and_memory(tiny_folder: Path) -> None:
    settings = Settings(1, 1.0, SolverName.EULER)
    found: Mapping[str, np.ndarray] = spent(Checkpoint("a", str(tiny_folder)), settings, 3, 0)
    assert found["cost/seconds"].shape == (3,)
    assert (found["cost/seconds"] > 0).all()
    assert found["cost/peak_mb"][-1] == pytest.approx(peak_mb(), rel=0.2)


def test_samples_are_asked_for_alike() -> None:
    task = Words(3, JUDGE)
    first, again = task.samples(7, 64), task.samples(7, 64)
    assert [one.prompt for one in first] == [one.prompt for one in again]
    assert [one.seed for one in first] == [7, 8, 9]
    assert isinstance(first[0], Sample)
