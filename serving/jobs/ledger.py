"""Jobs as the gateway sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from luciole.domain.job import DrawnFrame, Job, JobEvent, JobState
from serving.jobs.work import Idempotency, NewJob


@dataclass(frozen=True)
class Accepted:
    """A job that will be done; `again` if the same key had brought it before."""

    job: Job
    again: bool
    response: dict[str, object]


class Jobs(Protocol):
    """Every method sees the rows of one tenant only."""

    async def accept(self, new: NewJob, idempotency: Idempotency | None = None) -> Accepted:
        """Once this returns the job will end, whatever is killed; KeyReused, StorageFull."""
        ...

    async def get(self, tenant: str, job: str) -> Job:
        """JobNotFound if the tenant has none of that id."""
        ...

    async def listed(
        self,
        tenant: str,
        states: Sequence[JobState] = (),
        project: str | None = None,
        before: Job | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """The newest first; `before` continues a page."""
        ...

    async def frames(self, tenant: str, job: str) -> list[DrawnFrame]:
        """What is drawn so far, in the order of `k`."""
        ...

    async def cancel(self, tenant: str, job: str) -> Job:
        """A queued job ends at once, a running one at its next step, an ended one stays."""
        ...

    async def last_seq(self, tenant: str) -> int:
        """Of the tenant's newest event, 0 without any."""
        ...

    async def events(
        self,
        tenant: str,
        since: int = 0,
        job: str | None = None,
        project: str | None = None,
        limit: int = 500,
    ) -> list[JobEvent]:
        """What happened after event `since`, in order."""
        ...

    async def changed(self, timeout: float) -> bool:
        """Wait until any tenant has a new event; False after `timeout` seconds without."""
        ...
