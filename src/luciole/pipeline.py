"""From plans to pictures, over any engine."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import copy
from typing import Any, Self

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from luciole.bundle import Manifest
from luciole.conditioning import Conditioner, Conditioning, run_in_batches
from luciole.domain import EngineBadOutput, RenderPlan
from luciole.engines import Engine
from luciole.engines.bank import Mix
from luciole.engines.styles import Styles
from luciole.guided import in_family, refuse_guides
from luciole.sampling import Row, Trajectory, denoise, schedule_of, steps_of
from luciole.sampling.solvers import noise_scale

Latents = Float32[np.ndarray, "channel height width"]
Picture = UInt8[np.ndarray, "height width 3"]
Progress = Callable[[int, int], None]


class Pipeline:
    """Draws plans; a picture depends on its own plan only, up to rounding in mixed batches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._manifest = engine.bundle.manifest
        self._schedule = schedule_of(self._manifest.scheduler)
        self._conditioner = Conditioner(engine)
        self._styles = Styles(engine.bundle, engine.bank)

    def over(self, engine: Engine) -> Self:
        """The same pipeline over another view of its engine, such as one request's."""
        other = copy(self)
        other._engine, other._conditioner = engine, self._conditioner.over(engine)
        return other

    @property
    def manifest(self) -> Manifest:
        """What is known of the model: its name, its sizes, its licence."""
        return self._manifest

    def check(self, plan: RenderPlan) -> None:
        """InvalidRequest names the field of the plan that this model cannot do."""
        self._manifest.sizes.check("width", plan.width)
        self._manifest.sizes.check("height", plan.height)
        steps_of(plan.solver, self._schedule, plan.steps)
        self._styles.check(plan.styles)
        refuse_guides(plan, self._manifest)

    def render(
        self, plans: Sequence[RenderPlan], progress: Progress | None = None
    ) -> list[Picture]:
        """One picture per plan, in order; `progress` is told (steps done, steps in all)."""
        return self.decode(self.denoise(plans, progress=progress))

    def denoise(
        self,
        plans: Sequence[RenderPlan],
        latents: Sequence[Latents] | None = None,
        progress: Progress | None = None,
    ) -> list[Latents]:
        """The final latents of each plan, from its seed's noise or from given noise N(0, 1)."""
        for plan in plans:
            self.check(plan)
        trajectories = [
            self._trajectory(plan, f"sample {i}", None if latents is None else latents[i])
            for i, plan in enumerate(plans)
        ]
        with ExitStack() as held:
            mixes = [held.enter_context(self._styles.hold(plan.styles)) for plan in plans]
            self._walk(plans, trajectories, mixes, progress)
        return [trajectory.latents for trajectory in trajectories]

    def _walk(
        self,
        plans: Sequence[RenderPlan],
        trajectories: Sequence[Trajectory],
        mixes: Sequence[Mix | None],
        progress: Progress | None,
    ) -> None:
        total = sum(len(trajectory.steps) for trajectory in trajectories)
        before = 0

        def tell(done: int, _: int) -> None:
            if progress is not None:
                progress(before + done, total)

        for group in _groups([(plan.height, plan.width) for plan in plans]):
            conditioning = self._conditioner([plans[i] for i in group])
            members = [trajectories[i] for i in group]
            predict = _Predict(self._engine, conditioning, [mixes[i] for i in group])
            denoise(members, predict, tell)
            before += sum(len(trajectory.steps) for trajectory in members)

    def decode(self, latents: Sequence[Latents]) -> list[Picture]:
        """Pictures from final latents, sizes mixed as they come."""
        pictures: dict[int, Picture] = {}
        for group in _groups([sample.shape for sample in latents]):
            stacked = np.stack([latents[i] for i in group])
            decoded = run_in_batches(self._engine, "vae_decoder", {"latents": stacked})["pictures"]
            finite = np.isfinite(decoded).all(axis=(1, 2, 3))
            if not finite.all():
                sample = group[int(np.argmin(finite))]
                raise EngineBadOutput("pictures", f"sample {sample} is not finite")
            levels = np.round((decoded / 2 + 0.5).clip(0, 1) * 255).astype(np.uint8)
            channels_last = np.ascontiguousarray(levels.transpose(0, 2, 3, 1))
            pictures.update(zip(group, channels_last, strict=True))
        return [pictures[i] for i in range(len(latents))]

    def _trajectory(self, plan: RenderPlan, name: str, noise: Latents | None) -> Trajectory:
        stride = self._manifest.latent_stride
        shape = (self._manifest.latent_channels, plan.height // stride, plan.width // stride)
        # Counter-based: the noise depends on the seed alone, whatever else is drawn.
        generator = np.random.Generator(np.random.Philox(key=plan.seed))

        def draw() -> NDArray[np.float32]:
            return generator.standard_normal(shape, dtype=np.float32)

        steps = steps_of(plan.solver, self._schedule, plan.steps)
        own = in_family(draw(), plan.family)
        start = own if noise is None else np.asarray(noise, dtype=np.float32).reshape(shape)
        scale = np.float32(noise_scale(plan.solver, self._schedule, steps))
        return Trajectory(start * scale, steps, plan.guidance_scale, draw, name)


class _Predict:
    """The denoiser's answers; rows with equally many tokens go through it together."""

    def __init__(
        self,
        engine: Engine,
        conditioning: Sequence[Conditioning],
        mixes: Sequence[Mix | None],
    ) -> None:
        self._engine = engine
        self._conditioning, self._mixes = conditioning, mixes

    def __call__(
        self, latents: NDArray[np.float32], timesteps: NDArray[np.float32], rows: Sequence[Row]
    ) -> NDArray[np.float32]:
        words = [self._conditioning[row.sample].words(row) for row in rows]
        time_ids = [self._conditioning[row.sample].time_ids for row in rows]
        predictions = np.empty_like(latents)
        for group in _groups([len(said.states) for said in words]):
            inputs = {
                "latents": latents[group],
                "timestep": timesteps[group],
                "text_states": np.stack([words[n].states for n in group]),
                "pooled": np.stack([words[n].pooled for n in group]),
                "time_ids": np.array([time_ids[n] for n in group], dtype=np.float32),
                **self._styled([rows[n].sample for n in group]),
            }
            answer = run_in_batches(self._engine, "denoiser", inputs)["prediction"]
            if answer.shape != inputs["latents"].shape:
                expected = inputs["latents"].shape
                raise EngineBadOutput("prediction", f"has shape {answer.shape}, not {expected}")
            predictions[group] = answer
        return predictions

    def _styled(self, samples: Sequence[int]) -> dict[str, NDArray[Any]]:
        mixes = [mix for sample in samples if (mix := self._mixes[sample]) is not None]
        if not mixes:
            return {}
        return {
            "style_slot": np.stack([mix.slots for mix in mixes]),
            "style_weight": np.stack([mix.weights for mix in mixes]),
        }


def _groups(keys: Sequence[object]) -> list[list[int]]:
    """Indices of equal keys together, in the order of their first."""
    groups: dict[object, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        groups[key].append(i)
    return list(groups.values())
