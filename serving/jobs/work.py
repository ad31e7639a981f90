"""What can be asked of the workers: a kind of job says what its frames are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pydantic import TypeAdapter

from luciole.domain import RenderPlan

Params = dict[str, Any]
"""What a job needs to be drawn, as JSON; nothing else is kept of the request."""
RENDER, STORYBOARD = "render", "storyboard"
_PLANS = TypeAdapter(list[RenderPlan])


class Kind(Protocol):
    """One kind of job. What it answers depends on its arguments alone: a job may be resumed."""

    def total(self, params: Params) -> int:
        """How many frames there will be."""
        ...

    def plan(self, params: Params, k: int, drawn: Sequence[str]) -> RenderPlan:
        """Frame `k`; `drawn` holds the SHA-256 of the pictures of frames 0 to k-1."""
        ...


class Render:
    """Frames that do not depend on each other."""

    def total(self, params: Params) -> int:
        """As many as there are plans."""
        return len(params["plans"])

    def plan(self, params: Params, k: int, drawn: Sequence[str]) -> RenderPlan:
        """The plan as it was accepted."""
        return RenderPlan.model_validate(params["plans"][k])


class Chain:
    """Frames that look at earlier ones, which their plans name by keys until they are drawn."""

    def total(self, params: Params) -> int:
        """As many as there are plans."""
        return len(params["plans"])

    def plan(self, params: Params, k: int, drawn: Sequence[str]) -> RenderPlan:
        """The plan as it was accepted, with pictures in the place of keys."""
        pictures = dict(zip(params["keys"], drawn, strict=False))
        return RenderPlan.model_validate(_named(params["plans"][k], pictures))


@dataclass(frozen=True)
class NewJob:
    """What a tenant wants done; `cost` in steps x megapixels, `seconds` until it expires."""

    tenant: str
    kind: str
    params: Params
    total: int
    cost: float
    seconds: float = 900.0
    user: str | None = None
    project: str | None = None
    priority: int = 100
    """From 1; within the tenant, the smaller goes first."""


@dataclass(frozen=True)
class Idempotency:
    """A caller's key, and the hash of the body that came with it."""

    key: str
    body_hash: str
    response: dict[str, Any] = field(default_factory=dict)
    """What else the route wants back when the key comes again."""


def render(tenant: str, plans: Sequence[RenderPlan], **more: Any) -> NewJob:
    """A job that draws these plans; `more` are fields of NewJob."""
    return NewJob(
        tenant=tenant,
        kind=RENDER,
        params={"plans": _PLANS.dump_python(list(plans), mode="json")},
        total=len(plans),
        cost=sum(units(plan) for plan in plans),
        **more,
    )


def chain(tenant: str, frames: Sequence[tuple[str, RenderPlan]], **more: Any) -> NewJob:
    """A job that draws (key, plan) in this order; each plan may look at frames before it."""
    new = render(tenant, [plan for _, plan in frames], **more)
    params = new.params | {"keys": [key for key, _ in frames]}
    return replace(new, kind=STORYBOARD, params=params)


def _named(said: Any, pictures: Mapping[str, str]) -> Any:
    """A JSON document with every key of a frame replaced by the name of its picture."""
    if isinstance(said, dict):
        return {name: _named(value, pictures) for name, value in said.items()}
    if isinstance(said, list):
        return [_named(value, pictures) for value in said]
    return pictures.get(said, said) if isinstance(said, str) else said


def units(plan: RenderPlan) -> float:
    """Steps x megapixels of a plan."""
    return plan.steps * plan.width * plan.height / 1e6
