"""From plans to pictures, over any engine."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import copy
from typing import Self

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from luciole.blending import Blend
from luciole.bundle import Manifest
from luciole.conditioning import Conditioner, run_in_batches
from luciole.domain import EngineBadOutput, InvalidRequest, RenderPlan
from luciole.engines import Engine
from luciole.engines.bank import Mix
from luciole.engines.styles import Styles, StyleShelf
from luciole.guided import Guided, Guider, in_family, refuse_guides, window
from luciole.pictures import Picture, Pictures
from luciole.predicting import Predict, groups
from luciole.sampling import Kept, Pull, Step, Trajectory, denoise, schedule_of, steps_of, tail
from luciole.sampling.solvers import noise_scale

Latents = Float32[np.ndarray, "channel height width"]
Progress = Callable[[int, int], None]
Look = Callable[[int, int, Callable[[], list[Picture]]], None]


class Pipeline:
    """Draws plans; a picture depends on its own plan only, up to rounding in mixed batches."""

    def __init__(
        self,
        engine: Engine,
        pictures: Pictures | None = None,
        shelf: StyleShelf | None = None,
    ) -> None:
        """`pictures`: where those are that plans name; without any, plans with some are refused.

        `shelf`: where styles come from, if not from the bundle alone.
        """
        self._engine = engine
        self._manifest = engine.bundle.manifest
        self._schedule = schedule_of(self._manifest.scheduler)
        self._conditioner = Conditioner(engine)
        self._styles = Styles(engine.bundle, engine.bank, shelf)
        self._guider = Guider(engine, pictures)

    def over(self, engine: Engine, pictures: Pictures | None = None) -> Self:
        """The same pipeline over another view of its engine, such as one request's.

        `pictures`: those that this request may see, where they are others.
        """
        other = copy(self)
        other._engine, other._conditioner = engine, self._conditioner.over(engine)
        other._guider = self._guider.over(engine, pictures)
        return other

    @property
    def engine(self) -> Engine:
        """What it draws with."""
        return self._engine

    @property
    def manifest(self) -> Manifest:
        """What is known of the model: its name, its sizes, its licence."""
        return self._manifest

    def check(self, plan: RenderPlan) -> None:
        """InvalidRequest names the field of the plan that this model cannot do."""
        self._manifest.sizes.check("width", plan.width)
        self._manifest.sizes.check("height", plan.height)
        self._steps(plan)
        self._styles.check(plan.styles, plan.style_strategy)
        refuse_guides(plan, self._manifest)

    def render(
        self,
        plans: Sequence[RenderPlan],
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> list[Picture]:
        """One picture per plan, in order; `progress` is told (steps done, steps in all).

        `look` is told the same, and can ask for the pictures as far as they are.
        """
        guides = self._guides(plans)
        trajectories = self._trajectories(plans, guides, None)

        def so_far() -> list[Picture]:
            return self._composed([one.reached for one in trajectories], guides)

        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress(done, total)
            if look is not None:
                look(done, total, so_far)

        self._walk(plans, trajectories, guides, tell)
        return self._composed([one.latents for one in trajectories], guides)

    def denoise(
        self,
        plans: Sequence[RenderPlan],
        latents: Sequence[Latents] | None = None,
        progress: Progress | None = None,
    ) -> list[Latents]:
        """The final latents of each plan, from its seed's noise or from given noise N(0, 1)."""
        guides = self._guides(plans)
        trajectories = self._trajectories(plans, guides, latents)
        self._walk(plans, trajectories, guides, progress)
        return [one.latents for one in trajectories]

    def _guides(self, plans: Sequence[RenderPlan]) -> list[Guided]:
        for plan in plans:
            self.check(plan)
        return [self._guider(plan, len(self._steps(plan))) for plan in plans]

    def _trajectories(
        self,
        plans: Sequence[RenderPlan],
        guides: Sequence[Guided],
        given: Sequence[Latents] | None,
    ) -> list[Trajectory]:
        return [
            self._trajectory(plan, guides[i], f"sample {i}", None if given is None else given[i])
            for i, plan in enumerate(plans)
        ]

    def _composed(self, latents: Sequence[Latents], guides: Sequence[Guided]) -> list[Picture]:
        """Decoded; where a part was drawn again, within the picture around it."""
        return [
            picture if guided.redrawn is None else guided.redrawn.over(picture)
            for picture, guided in zip(self.decode(latents), guides, strict=True)
        ]

    def _walk(
        self,
        plans: Sequence[RenderPlan],
        trajectories: Sequence[Trajectory],
        guides: Sequence[Guided],
        progress: Progress | None,
    ) -> None:
        total = sum(len(trajectory.steps) for trajectory in trajectories)
        before = 0

        def tell(done: int, _: int) -> None:
            if progress is not None:
                progress(before + done, total)

        with ExitStack() as held:
            mixes = [held.enter_context(self._styles.hold(plan.styles)) for plan in plans]
            for group in groups([(plan.height, plan.width) for plan in plans]):
                members, mixed = [trajectories[i] for i in group], [mixes[i] for i in group]
                predict = Predict(
                    self._engine,
                    members,
                    self._conditioner([plans[i] for i in group], mixed),
                    [_blend(plans[i], mixes[i], guides[i]) for i in group],
                    [guides[i] for i in group],
                )
                denoise(members, predict, tell)
                before += sum(len(trajectory.steps) for trajectory in members)

    def decode(self, latents: Sequence[Latents]) -> list[Picture]:
        """Pictures from final latents, sizes mixed as they come."""
        pictures: dict[int, Picture] = {}
        for group in groups([sample.shape for sample in latents]):
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

    def _steps(self, plan: RenderPlan) -> list[Step]:
        """Those that are taken: the last ones where a picture is the start."""
        steps = steps_of(plan.solver, self._schedule, plan.steps)
        if plan.start is None or plan.start.strength == 1:
            return steps
        taken = tail(steps, plan.start.strength)
        if not taken:
            words = f"{plan.start.strength:g} of {len(steps)} steps is none; raise one of the two"
            raise InvalidRequest("start.strength", words)
        return taken

    def _trajectory(
        self, plan: RenderPlan, guided: Guided, name: str, given: Latents | None
    ) -> Trajectory:
        stride = self._manifest.latent_stride
        shape = (self._manifest.latent_channels, plan.height // stride, plan.width // stride)
        # Counter-based: the noise depends on the seed alone, whatever else is drawn.
        generator = np.random.Generator(np.random.Philox(key=plan.seed))

        def draw() -> NDArray[np.float32]:
            return generator.standard_normal(shape, dtype=np.float32)

        steps = self._steps(plan)
        own = in_family(draw(), plan.family)
        noise = own if given is None else np.asarray(given, dtype=np.float32).reshape(shape)
        first = noise * np.float32(noise_scale(plan.solver, self._schedule, steps))
        if plan.start is not None and guided.start is not None and plan.start.strength < 1:
            level = steps[0].level
            first = np.float32(level.alpha) * guided.start + np.float32(level.sigma) * noise
        made = Trajectory(first, steps, plan.guidance_scale, draw, name, plan.guidance_eta)
        if guided.start is not None and guided.mask is not None:
            made.kept = Kept(guided.start, noise, guided.mask)
        if plan.reference is not None and guided.reference is not None:
            told, reach = (
                plan.reference,
                window(len(steps), plan.reference.begin, plan.reference.end),
            )
            made.pull = Pull(guided.reference, told.strength, reach.start, reach.stop)
        return made


def _blend(plan: RenderPlan, mix: Mix | None, guided: Guided) -> Blend:
    return Blend(mix, plan.style_strategy, plan.style_turn, guided.areas)
