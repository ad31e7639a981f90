"""Jobs as callers see them."""

from typing import Literal, Self

from fastapi import Request
from pydantic import AwareDatetime

from luciole.domain.job import DrawnFrame, Failure, Job, JobFile, JobState
from serving.gateway.generations.form import Form
from serving.gateway.parts import Parts

STATUS = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "running",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
    JobState.EXPIRED: "failed",
}
"""The words of Firefly Services; what came too late has failed, with the code that says so."""


class AcceptedJob(Form):
    """What is answered to accepted work."""

    job_id: str
    status_url: str
    cancel_url: str


class Output(Form):
    """A picture of a job; `url` opens it for a while."""

    index: int
    seed: int
    sha256: str
    mime: str
    width: int
    height: int
    url: str


class MadeFile(Form):
    """A file that a job made of its frames; `url` opens it for a while."""

    name: str
    sha256: str
    mime: str
    width: int | None
    height: int | None
    url: str


class JobShown(Form):
    """How a job stands; `cost` and `units` in steps x megapixels."""

    job_id: str
    status: str
    state: JobState
    """The word that events use."""
    kind: str
    project: str | None
    subject: str | None
    """What it draws, such as a storyboard's id."""
    cancel_requested: bool
    error: Failure | None
    total: int
    cost: float
    units: float | None
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    deadline_at: AwareDatetime
    decision: Literal["kept", "discarded"] | None
    """What was chosen of its pictures, once somebody has."""
    outputs: list[Output] | None = None
    """Not told in lists."""
    files: list[MadeFile] | None = None
    """What was made of the frames, such as a contact sheet; not told in lists."""

    @classmethod
    def of(
        cls,
        job: Job,
        outputs: list[Output] | None = None,
        files: list[MadeFile] | None = None,
    ) -> Self:
        """As its row says."""
        shared = cls.model_fields.keys() & Job.model_fields.keys()
        known = {name: getattr(job, name) for name in shared}
        return cls.model_validate(
            {"job_id": job.id, "status": STATUS[job.state], "error": job.failure,
             "outputs": outputs, "files": files, **known},
            by_name=True,
        )  # fmt: skip


class JobPage(Form):
    """Some jobs, and where the next ones are."""

    items: list[JobShown]
    next_cursor: str | None


def accepted(job: Job, parts: Parts, request: Request) -> AcceptedJob:
    """Where to ask after it."""
    status = parts.addresses.of(request, f"/api/v1/jobs/{job.id}")
    known = {"job_id": job.id, "status_url": status, "cancel_url": f"{status}/cancel"}
    return AcceptedJob.model_validate(known, by_name=True)


def output(frame: DrawnFrame, parts: Parts, request: Request) -> Output:
    """A drawn frame with an address."""
    known = {
        "index": frame.k,
        "seed": frame.plan.seed,
        "url": url_of(frame.sha256, frame.mime, parts, request),
        **{name: getattr(frame, name) for name in ("sha256", "mime", "width", "height")},
    }
    return Output.model_validate(known, by_name=True)


def made(file: JobFile, parts: Parts, request: Request) -> MadeFile:
    """A file with an address."""
    url = url_of(file.sha256, file.mime, parts, request)
    return MadeFile.model_validate(file.model_dump() | {"url": url}, by_name=True)


def url_of(sha256: str, mime: str, parts: Parts, request: Request) -> str:
    """The signed address of an asset."""
    extension = mime.partition("/")[2].replace("jpeg", "jpg")
    name = f"{sha256}.{extension}"
    return parts.addresses.of(request, f"/assets/{name}?{parts.shelf.signer.query(name)}")
