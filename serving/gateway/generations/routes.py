"""Accept, show, list and cancel."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic.alias_generators import to_camel

from luciole.domain import InvalidRequest, RenderPlan
from serving.gateway.admission import admit, aside
from serving.gateway.auth.needs import Drawer, Reader
from serving.gateway.cursors import Limit, cursor_of, named_by
from serving.gateway.drawing import Draws
from serving.gateway.generations.form import GenerateForm, Project, planned
from serving.gateway.generations.shown import (
    STATUS,
    AcceptedJob,
    JobPage,
    JobShown,
    accepted,
    made,
    output,
)
from serving.gateway.parts import Its
from serving.jobs.work import Idempotency, render

Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern="^[!-~]+$"),
]
Status = Literal["pending", "running", "succeeded", "failed", "canceled"]
router = APIRouter(prefix="/api/v1", tags=["generations"])


@router.post("/generations", status_code=202)
async def generate(
    form: GenerateForm,
    request: Request,
    response: Response,
    caller: Drawer,
    parts: Its,
    idempotency_key: Key = None,
) -> AcceptedJob:
    """Accept pictures to be drawn; with the same key and body, answer as the first time."""
    drawn = planned(form, parts.drawing.pipeline.manifest)
    await aside(parts, _check, parts.drawing.pipeline, drawn)
    await parts.shelf.check(caller.tenant, drawn[0].pictures)
    key = None
    if idempotency_key is not None:
        said = form.model_dump_json(by_alias=True)
        key = Idempotency(idempotency_key, hashlib.sha256(said.encode()).hexdigest())
    await admit(parts, caller.tenant, drawn)
    new = render(caller.tenant, drawn, user=caller.user, project=form.project)
    done = await parts.jobs.accept(new, key)
    shown = accepted(done.job, parts, request)
    response.headers["Location"] = shown.status_url
    if done.again:
        response.headers["Idempotency-Replayed"] = "true"
    return shown


def _check(draws: Draws, plans: Sequence[RenderPlan]) -> None:
    try:
        for plan in plans:
            draws.check(plan)
    except InvalidRequest as error:
        field = "size" if error.field in {"width", "height"} else to_camel(error.field)
        raise InvalidRequest(field, error.message) from None


@router.get("/jobs")
async def list_jobs(
    caller: Reader,
    parts: Its,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    status: Annotated[list[Status] | None, Query()] = None,
    project: Annotated[Project | None, Query()] = None,
    subject: Annotated[str | None, Query(max_length=100)] = None,
) -> JobPage:
    """The newest first."""
    before = None
    if cursor is not None:
        before = await named_by(cursor, lambda job: parts.jobs.get(caller.tenant, job))
    states = [state for state, word in STATUS.items() if word in (status or ())]
    found = await parts.jobs.listed(caller.tenant, states, project, before, limit, subject)
    following = cursor_of(found[-1].id) if len(found) == limit else None
    items = [JobShown.of(job) for job in found]
    return JobPage.model_validate({"items": items, "next_cursor": following}, by_name=True)


@router.get("/jobs/{job}")
async def show_job(job: str, request: Request, caller: Reader, parts: Its) -> JobShown:
    """How a job stands, and what it has drawn so far."""
    found = await parts.jobs.get(caller.tenant, job)
    frames = await parts.jobs.frames(caller.tenant, job)
    files = await parts.jobs.files(caller.tenant, job)
    outputs = [output(frame, parts, request) for frame in frames]
    return JobShown.of(found, outputs, [made(file, parts, request) for file in files])


@router.post("/jobs/{job}/cancel", status_code=202)
async def cancel_job(job: str, caller: Drawer, parts: Its) -> JobShown:
    """Stop a job at its next step; one that has ended stays as it is."""
    return JobShown.of(await parts.jobs.cancel(caller.tenant, job))
