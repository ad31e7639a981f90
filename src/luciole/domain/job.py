"""Work that was accepted: what it is, how it stands, what happened to it."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from luciole.domain.plan import RenderPlan


class JobState(StrEnum):
    """`queued -> running`, then exactly one of the other four, for good."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether nothing changes it any more."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(_Record):
    """Why a job failed; `code` is stable and meant for machines."""

    code: str
    message: str


class Job(_Record):
    """How a job stands; `cost` and `units` in steps x megapixels."""

    id: str
    tenant: str
    kind: str
    project: str | None
    subject: str | None = None
    """What it draws, such as a storyboard."""
    state: JobState
    cancel_requested: bool
    failure: Failure | None
    total: int
    """Frames that it will have."""
    cost: float
    """If all of them are drawn."""
    units: float | None
    """What is billed; known at the end."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime
    decision: Literal["kept", "discarded"] | None = None
    """What was chosen of its pictures, once somebody has."""


class DrawnFrame(_Record):
    """Frame `k` of a job: the file that shows it, and the plan that draws it again."""

    k: int
    sha256: str
    mime: str
    width: int
    height: int
    plan: RenderPlan
    units: float


class JobFile(_Record):
    """What a job made of its frames, such as a contact sheet."""

    name: str
    sha256: str
    mime: str
    width: int | None
    height: int | None


class JobEvent(_Record):
    """Something that happened; within a tenant `seq` grows in the order in which it did."""

    seq: int
    job: str | None
    """None for what happens to something else."""
    tenant: str
    type: str
    """job.state, job.progress, job.frame, entity.changed."""
    data: dict[str, Any]
    at: datetime
