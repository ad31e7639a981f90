"""A pipeline that asks the content policy before it draws, and again before it hands out."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Protocol, Self

from luciole.bundle import Manifest
from luciole.domain import RenderPlan
from luciole.engines import Engine
from luciole.pictures import Picture, Pictures
from luciole.pipeline import Look, Progress
from serving.orchestration.policy import ContentPolicy


class Draws(Protocol):
    """Makes a picture of each plan, as `luciole.pipeline.Pipeline` does."""

    @property
    def manifest(self) -> Manifest:
        """What is known of the model."""
        ...

    def check(self, plan: RenderPlan) -> None:
        """InvalidRequest names what this model cannot do."""
        ...

    def over(self, engine: Engine, pictures: Pictures | None = None) -> "Draws":
        """The same over one request's view of the engine."""
        ...

    def render(
        self,
        plans: Sequence[RenderPlan],
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> list[Picture]:
        """Draw; raises EngineError."""
        ...


class GuardedPipeline:
    """Draws what a pipeline draws, unless the policy says no."""

    def __init__(self, pipeline: Draws, policy: ContentPolicy) -> None:
        self._pipeline, self._policy = pipeline, policy

    def over(self, engine: Engine, pictures: Pictures | None = None) -> Self:
        """The same over one request's view of the engine."""
        other = copy(self)
        other._pipeline = self._pipeline.over(engine, pictures)
        return other

    @property
    def manifest(self) -> Manifest:
        """What is known of the model."""
        return self._pipeline.manifest

    def check(self, plan: RenderPlan) -> None:
        """PromptUnsafe, or InvalidRequest for what this model cannot do."""
        self._pipeline.check(plan)
        self._policy.check_prompt(plan.prompt, plan.negative_prompt)

    def render(
        self,
        plans: Sequence[RenderPlan],
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> list[Picture]:
        """One picture per plan; PromptUnsafe, ImageUnsafe, or what the pipeline raises.

        Pictures on their way are judged too, as far as somebody looks at them.
        """
        for plan in plans:
            self._policy.check_prompt(plan.prompt, plan.negative_prompt)

        def judged(done: int, total: int, so_far: Callable[[], list[Picture]]) -> None:
            if look is not None:
                look(done, total, lambda: self._passed(so_far()))

        shown = None if look is None else judged
        return self._passed(self._pipeline.render(plans, progress, shown))

    def _passed(self, pictures: list[Picture]) -> list[Picture]:
        for picture in pictures:
            self._policy.check_picture(picture)
        return pictures
