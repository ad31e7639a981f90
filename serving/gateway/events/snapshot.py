"""What a listener is told first: how everything stands."""

import json
import time
import uuid

from luciole.domain.job import Job, JobState
from serving.jobs.ledger import Jobs

SERVER = uuid.uuid4().hex
"""Another one means another process: what was read before may be old."""
UNENDED = (JobState.QUEUED, JobState.RUNNING)
ENDED = tuple(state for state in JobState if state.ended)
MOST_UNENDED, MOST_ENDED = 200, 20


async def snapshot(jobs: Jobs, tenant: str, project: str | None) -> tuple[int, str]:
    """The number of the newest event, and the message: what happens later has a higher one."""
    seq = await jobs.last_seq(tenant)
    open_ones = await jobs.listed(tenant, UNENDED, project, limit=MOST_UNENDED)
    latest = await jobs.listed(tenant, ENDED, project, limit=MOST_ENDED)
    queue = await jobs.queue(tenant, project)
    frame = {"v": 1, "seq": seq, "ts": time.time(), "type": "snapshot", "server": SERVER}
    said: dict[str, object] = {
        "queue": queue,
        "jobs": [_said(job) for job in open_ones],
        "ended": [_said(job) for job in latest],
    }
    return seq, json.dumps(frame | said, separators=(",", ":"))


def _said(job: Job) -> dict[str, object]:
    return {
        "job_id": job.id,
        "state": job.state,
        "total": job.total,
        "project": job.project,
        "subject": job.subject,
        "decision": job.decision,
    }
