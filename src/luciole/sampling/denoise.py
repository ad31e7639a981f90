"""THE denoise loop: whatever engine predicts, in process or far away, these lines run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from luciole.domain import EngineBadOutput
from luciole.sampling.solvers import CLEAN, Step


@dataclass(frozen=True)
class Row:
    """One row of a prediction batch: which sample, and with its prompt or its negative one."""

    sample: int
    negative: bool


class Predict(Protocol):
    """Answers for each row what the denoiser makes of its latents at its timestep."""

    def __call__(
        self,
        latents: Float32[np.ndarray, "row channel height width"],
        timesteps: Float32[np.ndarray, " row"],
        rows: Sequence[Row],
    ) -> NDArray[np.float32]:
        """One prediction per row, of the latents' shape."""
        ...


@dataclass(frozen=True)
class Kept:
    """Where `mask` is 0 a sample stays on the way that leads to `latents` from its own noise."""

    latents: Float32[np.ndarray, "channel height width"]
    noise: Float32[np.ndarray, "channel height width"]
    mask: Float32[np.ndarray, "1 height width"]


@dataclass(frozen=True)
class Pull:
    """In steps `first` to `last` what is clean is moved so far towards `latents`: 1 is there."""

    latents: Float32[np.ndarray, "channel height width"]
    strength: float
    first: int
    last: int


@dataclass
class Trajectory:
    """One sample on its way; `latents` change in place, the rest says how.

    A guidance scale of 1 costs one row a step, any other two; `guidance_eta` is how much stays
    of guidance along the clean picture. `noise` draws what ancestral steps add, and is asked
    only by them. Errors call the sample by its `name`.
    """

    latents: Float32[np.ndarray, "channel height width"]
    steps: Sequence[Step]
    guidance_scale: float
    noise: Callable[[], NDArray[np.float32]]
    name: str = "a sample"
    guidance_eta: float = 1.0
    done: int = 0
    clean: NDArray[np.float32] | None = field(default=None, repr=False)
    kept: Kept | None = field(default=None, repr=False)
    pull: Pull | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """Whether steps are left."""
        return self.done < len(self.steps)

    @property
    def reached(self) -> NDArray[np.float32]:
        """The latents as far as they are: on the way, what the last step took for clean."""
        return self.clean if self.running and self.clean is not None else self.latents

    def advance(self, prediction: Float32[np.ndarray, "channel height width"]) -> None:
        """Take one step with a guided prediction."""
        step = self.steps[self.done]
        clean = self._pulled(self._clean(prediction))
        moved = step.keep * self.latents + step.clean * clean
        if step.earlier_clean and self.clean is not None:
            moved += step.earlier_clean * self.clean
        if step.noise:
            moved += step.noise * self.noise()
        self.done += 1
        self.latents, self.clean = self._held(moved.astype(np.float32)), clean

    def guided(self, said: NDArray[np.float32], unsaid: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classifier-free guidance (arXiv:2207.12598, eq. 6 in the scale where 1 is none).

        With a `guidance_eta` below 1, less of its part along what `said` takes for the clean
        picture: that part saturates, the rest draws (APG, arXiv:2410.02416, without momentum).
        """
        scale, towards = np.float32(self.guidance_scale), said - unsaid
        guided = unsaid + scale * towards
        if self.guidance_eta == 1:
            return guided
        clean = self._clean(said)
        length = float(np.vdot(clean, clean))
        share = float(np.vdot(towards, clean)) / length if length else 0.0
        along = np.float32((self.guidance_scale - 1) * (1 - self.guidance_eta) * share)
        projected: NDArray[np.float32] = guided - along * clean
        return projected

    def _clean(self, prediction: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a prediction of this step takes for the clean latents."""
        step = self.steps[self.done]
        said = step.clean_from_sample * self.latents + step.clean_from_prediction * prediction
        return said.astype(np.float32)

    def _pulled(self, clean: NDArray[np.float32]) -> NDArray[np.float32]:
        pull = self.pull
        if pull is None or not pull.first <= self.done < pull.last:
            return clean
        return clean + np.float32(pull.strength) * (pull.latents - clean)

    def _held(self, moved: NDArray[np.float32]) -> NDArray[np.float32]:
        """With the part that is not drawn put back, at the noise level that is reached."""
        kept = self.kept
        if kept is None:
            return moved
        level = self.steps[self.done].level if self.running else CLEAN
        there = np.float32(level.alpha) * kept.latents + np.float32(level.sigma) * kept.noise
        return np.asarray(kept.mask * moved + (1 - kept.mask) * there, np.float32)


def denoise(
    trajectories: Sequence[Trajectory],
    predict: Predict,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Run every trajectory to its end, all that still run in one batch a step.

    `progress` is told (steps done, steps in all) over all samples. EngineBadOutput names the
    sample whose prediction is not finite.
    """
    total = sum(len(trajectory.steps) - trajectory.done for trajectory in trajectories)
    done = 0
    while running := [i for i, trajectory in enumerate(trajectories) if trajectory.running]:
        guided = _guided_predictions(trajectories, running, predict)
        for i, prediction in zip(running, guided, strict=True):
            trajectories[i].advance(prediction)
        done += len(running)
        if progress is not None:
            progress(done, total)


def _guided_predictions(
    trajectories: Sequence[Trajectory], running: Sequence[int], predict: Predict
) -> list[NDArray[np.float32]]:
    """What each says with its words and, where guidance is on, without them, put together."""
    rows = [Row(i, negative=False) for i in running]
    rows += [Row(i, negative=True) for i in running if trajectories[i].guidance_scale != 1]
    latents = np.stack([trajectories[row.sample].latents for row in rows])
    timesteps = [trajectories[row.sample] for row in rows]
    predictions = predict(
        latents, np.array([t.steps[t.done].timestep for t in timesteps], np.float32), rows
    )
    _check(predictions, latents.shape, [trajectories[row.sample].name for row in rows])
    negative = {row.sample: predictions[n] for n, row in enumerate(rows) if row.negative}
    return [
        trajectories[i].guided(predictions[n], negative[i]) if i in negative else predictions[n]
        for n, i in enumerate(running)
    ]


def _check(predictions: NDArray[np.float32], shape: tuple[int, ...], names: list[str]) -> None:
    if predictions.shape != shape:
        raise EngineBadOutput("prediction", f"has shape {predictions.shape}, expected {shape}")
    finite = np.isfinite(predictions).all(axis=tuple(range(1, len(shape))))
    if not finite.all():
        name = names[int(np.argmin(finite))]
        raise EngineBadOutput("prediction", f"{name} is not finite (NaN or infinity)")
