from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import normalized_guidance
from numpy.typing import NDArray

from luciole.domain import EngineBadOutput
from luciole.sampling import Kept, Level, Pull, Row, Step, Trajectory, denoise

SHAPE = (2, 4, 4)


def trajectory(
    steps: int, guidance_scale: float = 1.0, start: float = 1.0, name: str = "a sample"
) -> Trajectory:
    """Each step adds the prediction to the sample."""
    table = [Step(float(100 - i), 0, 1, keep=1, clean=1) for i in range(steps)]
    latents = np.full(SHAPE, start, np.float32)
    return Trajectory(latents, table, guidance_scale, lambda: np.zeros(SHAPE, np.float32), name)


class Model:
    """Predicts 3 for a prompt and 1 for a negative prompt, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[Row]] = []
        self.timesteps: list[list[float]] = []

    def __call__(
        self, latents: NDArray[np.float32], timesteps: NDArray[np.float32], rows: Sequence[Row]
    ) -> NDArray[np.float32]:
        self.asked.append(list(rows))
        self.timesteps.append(timesteps.tolist())
        answer = np.empty_like(latents)
        for n, row in enumerate(rows):
            answer[n] = 1 if row.negative else 3
        return answer


def test_guidance_goes_from_the_negative_prediction_past_the_other() -> None:
    guided, plain = trajectory(1, guidance_scale=5, start=0), trajectory(1, start=0)
    denoise([guided, plain], Model())
    assert (guided.latents == 1 + 5 * (3 - 1)).all()
    assert (plain.latents == 3).all()


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_projected_guidance_is_that_of_diffusers_on_clean_latents(eta: float) -> None:
    step = Step(500, 0.8, -0.6, keep=0, clean=1)
    latents, said, unsaid = np.random.default_rng(3).standard_normal((3, *SHAPE), np.float32)
    one = replace(trajectory(1, guidance_scale=4), steps=[step], latents=latents, guidance_eta=eta)
    with_words, without = (
        torch.from_numpy(0.8 * latents - 0.6 * prediction)[None] for prediction in (said, unsaid)
    )
    reference = normalized_guidance(
        with_words, without, guidance_scale=3, eta=eta, use_original_formulation=True
    )
    one.advance(one.guided(said, unsaid))
    np.testing.assert_allclose(one.latents, reference[0].numpy(), atol=2e-6)


def test_nothing_is_projected_on_an_empty_picture() -> None:
    one = replace(trajectory(1, guidance_scale=5, start=0), guidance_eta=0.0)
    empty, other = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    assert (one.guided(empty, other) == -4).all()


def test_a_sample_with_guidance_costs_two_rows_and_one_without_costs_one() -> None:
    model = Model()
    denoise([trajectory(1, guidance_scale=2), trajectory(1)], model)
    assert model.asked == [[Row(0, False), Row(1, False), Row(0, True)]]


def test_only_running_samples_are_asked_for_each_at_its_own_timestep() -> None:
    model = Model()
    denoise([trajectory(1), trajectory(3), trajectory(2)], model)
    assert [[row.sample for row in rows] for rows in model.asked] == [[0, 1, 2], [1, 2], [1]]
    assert model.timesteps == [[100] * 3, [99] * 2, [98]]


def test_progress_ends_at_the_sum_of_steps() -> None:
    seen: list[tuple[int, int]] = []
    denoise([trajectory(1), trajectory(3)], Model(), lambda done, total: seen.append((done, total)))
    assert seen == [(2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_names_its_sample(value: float) -> None:
    def model(latents: NDArray[np.float32], *_: object) -> NDArray[np.float32]:
        answer = np.zeros_like(latents)
        answer[-1, 0, 0, 0] = value
        return answer

    with pytest.raises(EngineBadOutput, match="prediction: the second is not finite"):
        denoise([trajectory(1), trajectory(1, guidance_scale=2, name="the second")], model)


def test_a_prediction_of_another_shape_is_refused() -> None:
    with pytest.raises(EngineBadOutput, match="shape"):
        denoise([trajectory(1)], lambda latents, *_: latents[:, :1])


def test_no_trajectories_ask_nothing() -> None:
    model = Model()
    denoise([], model)
    assert model.asked == []


def walk(start: float, steps: int = 4) -> Trajectory:
    """Down from level 0.8 in equal parts, straight to where the prediction says."""
    levels = [Level(1 - 0.2 * (steps - i), 0.2 * (steps - i)) for i in range(steps)]
    table = [Step(float(i), 0, 1, keep=0, clean=1, level=levels[i]) for i in range(steps)]
    return Trajectory(
        np.full(SHAPE, start, np.float32), table, 1.0, lambda: np.zeros(SHAPE, np.float32)
    )


def test_what_is_kept_stays_on_its_own_way_and_ends_where_it_was() -> None:
    latents, noise = np.full(SHAPE, 5, np.float32), np.full(SHAPE, 2, np.float32)
    mask = np.zeros((1, 4, 4), np.float32)
    mask[:, :, 2:] = 1
    sample, seen = walk(0), list[float]()
    sample.kept = Kept(latents, noise, mask)

    def predict(now: NDArray[np.float32], *_: object) -> NDArray[np.float32]:
        seen.append(float(now[0, 0, 0, 0]))
        return np.full_like(now, 3)

    denoise([sample], predict)
    assert seen[1:] == pytest.approx([0.6 * 2 + 0.4 * 5, 0.4 * 2 + 0.6 * 5, 0.2 * 2 + 0.8 * 5])
    assert (sample.latents[:, :, :2] == 5).all()
    assert (sample.latents[:, :, 2:] == 3).all()


@pytest.mark.parametrize(("strength", "last", "end"), [(1, 4, 7), (0.25, 4, 4), (1, 3, 3)])
def test_a_pull_moves_what_is_clean_in_its_window_alone(
    strength: float, last: int, end: float
) -> None:
    sample = walk(0)
    sample.pull = Pull(np.full(SHAPE, 7, np.float32), strength, 0, last)
    denoise([sample], Model())
    assert sample.latents == pytest.approx(end)
