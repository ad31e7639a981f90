"""Keep a picture, look back, go back."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from luciole.domain.job import JobState
from serving.gateway.auth.needs import Reader, Writer
from serving.gateway.cursors import Limit, cursor_of, named_by
from serving.gateway.events.announcing import announce
from serving.gateway.generations.shown import JobShown
from serving.gateway.parts import Its, Parts
from serving.gateway.storyboards.form import StoryboardForm
from serving.gateway.versions.history import Choice, Version
from serving.jobs.work import RENDER

Subject = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
Id = Annotated[str, Path(max_length=100)]
STORYBOARD = "storyboard_"
"""How the subjects begin whose versions are documents."""
router = APIRouter(prefix="/api/v1", tags=["versions"])


class KeepForm(BaseModel):
    """Picture `index` of a job as the next version of a subject, such as a frame."""

    model_config = ConfigDict(extra="forbid")

    subject: Subject
    job: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    index: Annotated[int, Field(ge=0, lt=2**31)] = 0
    label: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    parent: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Without one it follows the subject's newest version."""


class FileShown(BaseModel):
    """A picture of a version; `url` opens it for a while."""

    sha256: str
    url: str


class VersionShown(BaseModel):
    """A node of the tree; `request` makes it again: a plan, or a storyboard's document."""

    id: str
    subject: str
    parent: str | None
    job: str | None
    label: str | None
    request: dict[str, Any]
    assets: list[FileShown]
    created_at: AwareDatetime

    @classmethod
    def of(cls, version: Version, urls: dict[str, str]) -> Self:
        """With the addresses of its pictures."""
        files = [FileShown(sha256=one, url=urls[one]) for one in version.assets if one in urls]
        return cls(**version.__dict__ | {"assets": files})


class VersionPage(BaseModel):
    """Some versions, and where the next ones are."""

    items: list[VersionShown]
    next_cursor: str | None


@router.post("/versions", status_code=201)
async def keep(form: KeepForm, request: Request, caller: Writer, parts: Its) -> VersionShown:
    """Choose a picture; what its job has not drawn yet is canceled."""
    kept = await parts.history.keep(caller.tenant, Choice(**form.model_dump()))
    job = await parts.jobs.get(caller.tenant, form.job)
    if job.kind == RENDER and job.state in {JobState.QUEUED, JobState.RUNNING}:
        await parts.jobs.cancel(caller.tenant, form.job)
    await announce(parts.jobs, caller.tenant, "version", kept.id)
    return (await _shown([kept], parts, request, caller.tenant))[0]


@router.get("/versions")
async def list_versions(
    request: Request,
    caller: Reader,
    parts: Its,
    subject: Annotated[Subject, Query()],
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> VersionPage:
    """The tree of a subject, the newest version first; each names its parent."""
    before = None
    if cursor is not None:
        before = await named_by(cursor, lambda one: parts.history.find(caller.tenant, one))
    found = await parts.history.listed(caller.tenant, subject, before, limit)
    following = cursor_of(found[-1].id) if len(found) == limit else None
    items = await _shown(found, parts, request, caller.tenant)
    return VersionPage(items=items, next_cursor=following)


@router.get("/versions/{version}")
async def show(version: Id, request: Request, caller: Reader, parts: Its) -> VersionShown:
    """Show one version."""
    known = await parts.history.find(caller.tenant, version)
    return (await _shown([known], parts, request, caller.tenant))[0]


@router.post("/versions/{version}/restore", status_code=201)
async def restore(version: Id, request: Request, caller: Writer, parts: Its) -> VersionShown:
    """Go back by adding the same once more; a storyboard is written so again."""
    known = await parts.history.find(caller.tenant, version)
    if known.subject.startswith(STORYBOARD):
        document = StoryboardForm.model_validate(known.request)
        await parts.boards.replace(caller.tenant, known.subject, document, parent=known.id)
        [made] = await parts.history.listed(caller.tenant, known.subject, None, 1)
        await announce(parts.jobs, caller.tenant, "storyboard", known.subject)
    else:
        made = await parts.history.again(caller.tenant, known)
    await announce(parts.jobs, caller.tenant, "version", made.id)
    return (await _shown([made], parts, request, caller.tenant))[0]


@router.post("/jobs/{job}/discard")
async def discard(job: Id, caller: Writer, parts: Its) -> JobShown:
    """Want nothing of a job: it is canceled, and waits for no choice any more."""
    await parts.history.discard(caller.tenant, job)
    return JobShown.of(await parts.jobs.cancel(caller.tenant, job))


async def _shown(
    versions: list[Version], parts: Parts, request: Request, tenant: str
) -> list[VersionShown]:
    names = {sha256 for version in versions for sha256 in version.assets}
    files = await parts.shelf.several(tenant, names)
    urls = {
        sha256: parts.addresses.of(request, parts.shelf.path(asset))
        for sha256, asset in files.items()
    }
    return [VersionShown.of(version, urls) for version in versions]
