"""Pictures on their way: drawn small, kept until the next one, and only while somebody looks."""

import io
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from PIL import Image
from sqlalchemy import Connection, delete, func, select

from serving.jobs.artist import Pixels
from serving.jobs.events import CHANNEL
from serving.storage.columns import now
from serving.storage.tables import JobRow, PreviewRow, WatcherRow
from serving.storage.writing import insert_or_replace

SIDE = 384
"""Pixels at most."""
EVERY, PAUSE = 2, 0.25
"""Steps and seconds between two previews of a frame, at least."""
WATCH = timedelta(seconds=15)
"""How long somebody counts as looking after their last sign."""
MIME = "image/webp"


@dataclass(frozen=True)
class Preview:
    """The newest look at a job; `width` and `height` are those of the picture in the end."""

    job: str
    k: int
    step: int
    width: int
    height: int
    content: bytes


def small(pixels: Pixels) -> bytes:
    """A WebP file of at most `SIDE` pixels a side."""
    image, target = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    image.save(target, "WEBP", quality=70, method=0)
    return target.getvalue()


def keep(connection: Connection, tenant: str, preview: Preview) -> None:
    """In the place of the one before; nobody waits for a job that has ended."""
    ended = select(JobRow.ended_at).where(JobRow.id == preview.job)
    if connection.scalar(ended) is not None:
        return
    insert_or_replace(connection, PreviewRow, tenant=tenant, **preview.__dict__)
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, tenant)))


def forget(connection: Connection, job: str) -> None:
    """Once a job has ended its pictures are there."""
    connection.execute(delete(PreviewRow).where(PreviewRow.job == job))


def places(connection: Connection, tenant: str, project: str | None) -> dict[str, tuple[int, int]]:
    """Frame and step of the newest preview of every job, without the pictures."""
    asked = select(PreviewRow.job, PreviewRow.k, PreviewRow.step).where(PreviewRow.tenant == tenant)
    if project is not None:
        asked = asked.join(JobRow, JobRow.id == PreviewRow.job).where(JobRow.project == project)
    return {row.job: (row.k, row.step) for row in connection.execute(asked)}


def find(connection: Connection, tenant: str, jobs: Collection[str]) -> list[Preview]:
    """The newest preview of each of the jobs."""
    asked = select(PreviewRow).where(PreviewRow.tenant == tenant, PreviewRow.job.in_(jobs))
    return [
        Preview(row.job, row.k, row.step, row.width, row.height, row.content)
        for row in connection.execute(asked)
    ]


def watch(connection: Connection, tenant: str) -> None:
    """Say that somebody of the tenant looks."""
    insert_or_replace(connection, WatcherRow, tenant=tenant, until=now() + WATCH)


def watched(connection: Connection) -> set[str]:
    """Tenants of whom somebody looks."""
    return set(connection.scalars(select(WatcherRow.tenant).where(WatcherRow.until > now())))
