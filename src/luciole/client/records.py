"""What the service answers, as types; fields that a newer service adds are ignored."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

T = TypeVar("T")
Status = Literal["pending", "running", "succeeded", "failed", "canceled"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Camel(_Record):
    model_config = ConfigDict(alias_generator=to_camel)


class AcceptedJob(_Camel):
    """Work that will be done, whatever is restarted."""

    job_id: str
    status_url: str
    cancel_url: str


class Failure(_Record):
    """Why a job failed; `code` is stable."""

    code: str
    message: str


class Output(_Camel):
    """A picture of a job; `url` opens it for a while."""

    index: int
    seed: int
    sha256: str
    mime: str
    width: int
    height: int
    url: str


class MadeFile(_Camel):
    """A file that a job made of its frames, such as a contact sheet; `url` opens it for a while."""

    name: str
    sha256: str
    mime: str
    width: int | None
    height: int | None
    url: str


class Job(_Camel):
    """How a job stands; `cost` and `units` in steps x megapixels."""

    job_id: str
    status: Status
    kind: str
    project: str | None
    cancel_requested: bool
    error: Failure | None
    total: int
    cost: float
    units: float | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outputs: list[Output] | None = None
    files: list[MadeFile] | None = None
    subject: str | None = None
    """What it draws, such as a storyboard's id."""
    decision: Literal["kept", "discarded"] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing changes it any more."""
        return self.ended_at is not None


class Asset(_Record):
    """A stored file; `url` opens it for a while."""

    sha256: str
    mime: str
    size: int
    width: int | None
    height: int | None
    created_at: datetime
    url: str


class Page(_Record, Generic[T]):
    """A part of a list, and where the next one begins; None at the end."""

    items: list[T]
    next_cursor: str | None


class Me(_Record):
    """How the service sees us."""

    tenant: str
    subject: str
    scopes: list[str]


class NewKey(_Record):
    """A key at its birth; the secret is not told again."""

    id: str
    secret: str


class Webhook(_Record):
    """Where ends of jobs are told."""

    id: str
    url: str
    types: list[str]
    created_at: datetime
    disabled_at: datetime | None


class NewWebhook(Webhook):
    """With the secret that signs its messages."""

    secret: str


class Usage(_Record):
    """What was used in a time, in steps x megapixels."""

    since: datetime
    until: datetime
    units: float
    jobs: int
    quota: float | None
    used_this_month: float | None


class Event(_Record):
    """Something that happened; `seq` grows, and is None for the snapshot that comes first."""

    seq: int | None
    type: str
    data: dict[str, Any]


class Picture(_Record):
    """A picture that was drawn while one waited; `content` is its file."""

    content: bytes
    seed: int
