"""What can be asked of the workers: a kind of job says what its frames are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row

from luciole.domain import RenderPlan
from serving.jobs.artist import Easel, Pixels

Params = dict[str, Any]
"""What a job needs to be drawn, as JSON; nothing else is kept of the request."""
RENDER, CHAIN, STORYBOARD = "render", "chain", "storyboard"
_PLANS = TypeAdapter(list[RenderPlan])


@dataclass(frozen=True)
class Sketch:
    """A frame as it was drawn: its plan in the end, and what a kind wants to remember of it."""

    plan: RenderPlan
    pixels: Pixels
    notes: Params = field(default_factory=dict)


@dataclass(frozen=True)
class MadeFile:
    """A file that a job makes of its frames; `composed` if it is a picture of several."""

    name: str
    content: bytes
    mime: str
    extension: str
    width: int | None = None
    height: int | None = None
    composed: bool = False


class Kind(Protocol):
    """One kind of job. What it plans depends on its arguments alone: a job may be resumed."""

    def total(self, params: Params) -> int:
        """How many frames there will be."""
        ...

    def plan(self, params: Params, k: int, drawn: Sequence[str]) -> RenderPlan:
        """Frame `k`; `drawn` holds the SHA-256 of the pictures of frames 0 to k-1."""
        ...

    def draw(self, params: Params, k: int, plan: RenderPlan, easel: Easel) -> Sketch:
        """Draw a planned frame; a LucioleError ends the job."""
        ...

    def note(
        self, connection: Connection, job: Row[Any], k: int, sha256: str, said: Params
    ) -> None:
        """Write what is kept of a frame beside its picture, in the transaction that records it."""
        ...

    def files(self, params: Params) -> Sequence[MadeFile]:
        """What the frames come to, once all are drawn; the same whenever it is asked."""
        ...


class _Plain:
    """Frames are drawn as they are planned, and nothing is made of them."""

    def total(self, params: Params) -> int:
        """As many as there are plans."""
        return len(params["plans"])

    def draw(self, params: Params, k: int, plan: RenderPlan, easel: Easel) -> Sketch:
        """Draw once."""
        return Sketch(plan, easel.draw(plan))

    def note(
        self, connection: Connection, job: Row[Any], k: int, sha256: str, said: Params
    ) -> None:
        """Nothing is kept."""

    def files(self, params: Params) -> Sequence[MadeFile]:
        """There are none."""
        return ()


class Render(_Plain):
    """Frames that do not depend on each other."""

    def plan(self, params: Params, k: int, drawn: Sequence[str]) -> RenderPlan:
        """The plan as it was accepted."""
        return RenderPlan.model_validate(params["plans"][k])


class Chain(_Plain):
    """Frames that look at earlier ones, which their plans name by keys until they are drawn."""

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
    subject: str | None = None
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
    return replace(new, kind=CHAIN, params=params)


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
