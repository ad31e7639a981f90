"""Tells a tenant's listeners that something else than a job has changed."""

import structlog

from serving.jobs.events import ENTITY
from serving.jobs.ledger import Jobs
from serving.storage.errors import StorageFull, StorageUnavailable

log = structlog.get_logger()


async def announce(jobs: Jobs, tenant: str, kind: str, name: str) -> None:
    """`kind` is character, storyboard, version or asset; what is done stays done without it."""
    try:
        await jobs.say(tenant, ENTITY, {"kind": kind, "id": name})
    except (StorageFull, StorageUnavailable) as error:
        log.warning("a change was not told", kind=kind, cause=error.code)
