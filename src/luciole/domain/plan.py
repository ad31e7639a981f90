"""Exactly one picture, with every choice made."""

from pydantic import Field

from luciole.domain.request import (
    GenerationRequest,
    Guidance,
    GuidanceEta,
    Seed,
    SolverName,
    Wish,
)


class RenderPlan(Wish):
    """All that a pipeline needs to draw one picture again, byte for byte, on the same machine."""

    width: int = Field(ge=1, le=8192)
    height: int = Field(ge=1, le=8192)
    steps: int = Field(ge=1, le=200)
    guidance_scale: Guidance
    guidance_eta: GuidanceEta = 1.0
    seed: Seed
    solver: SolverName


def plans(request: GenerationRequest) -> list[RenderPlan]:
    """One plan a picture; the seeds count up from the request's."""
    shared = {name: value for name, value in vars(request).items() if name not in {"seed", "count"}}
    return [RenderPlan(**shared, seed=(request.seed + i) % 2**63) for i in range(request.count)]
