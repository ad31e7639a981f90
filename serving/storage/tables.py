"""Every table of the service. Rows of a tenant carry its id, and every query filters by it."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from serving.storage.columns import Document, Moment, now

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints have names, so that a later migration can change them."""

Serial = BigInteger().with_variant(Integer, "sqlite")


class Row(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        datetime: Moment,
        dict[str, Any]: Document,
        list[str]: Document,
        list[Any]: Document,
    }


class TenantRow(Row):
    """A customer; nothing crosses from one to another."""

    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    private: Mapped[bool] = mapped_column(default=False)
    """Assets are reached by signed URLs only."""
    stripe_customer: Mapped[str | None]
    """Whom the meter events are for; None is not billed."""
    quota: Mapped[float | None]
    """Steps x megapixels a calendar month; None is without bound."""
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What differs from the service's own rate limits."""
    character_revision: Mapped[int] = mapped_column(BigInteger, default=0)
    """Counts the changes of its characters, in the order in which they are committed."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class UserRow(Row):
    """Somebody who logged in through an OIDC provider."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    email: Mapped[str | None]
    scopes: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)


class ApiKeyRow(Row):
    """A key's hash; the key itself is shown once and kept nowhere."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    user: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]


class JobRow(Row):
    """Accepted work; its id is that of its durable workflow."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_tenant_created_at_id", "tenant", "created_at", "id"),
        Index("ix_jobs_tenant_subject", "tenant", "subject"),
        Index("ix_jobs_unended", "state", sqlite_where=text("ended_at IS NULL"),
              postgresql_where=text("ended_at IS NULL")),
    )  # fmt: skip
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    user: Mapped[str | None]
    project: Mapped[str | None]
    """What the caller groups by; events can be asked for by it."""
    subject: Mapped[str | None]
    """What it draws, such as a storyboard."""
    kind: Mapped[str]
    params: Mapped[dict[str, Any]]
    state: Mapped[str]
    """queued, running, succeeded, failed, canceled, expired."""
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    """At drawing frames, since the last one that was drawn."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    total: Mapped[int]
    """Frames that it will have."""
    cost: Mapped[float]
    """Steps x megapixels, if all of them are drawn."""
    units: Mapped[float | None]
    """Steps x megapixels that are billed; known at the end."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    decision: Mapped[str | None]
    """kept, discarded; None as long as nobody has chosen."""
    deadline_at: Mapped[datetime]
    """After it the job is expired, or failed for want of a backend."""


class JobFrameRow(Row):
    """A drawn frame; a second drawing of the same frame changes nothing."""

    __tablename__ = "job_frames"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    k: Mapped[int] = mapped_column(primary_key=True)
    asset_sha: Mapped[str] = mapped_column(ForeignKey("assets.sha256"), index=True)
    plan: Mapped[dict[str, Any]]
    """The RenderPlan that draws it again."""
    units: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)


class JobFileRow(Row):
    """A file that a job made of its frames, such as a contact sheet."""

    __tablename__ = "job_files"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    asset_sha: Mapped[str] = mapped_column(ForeignKey("assets.sha256"))
    mark: Mapped[str | None] = mapped_column(index=True)
    """Of what was signed and by whom, as a signature differs each time; None without one."""


class AssetRow(Row):
    """A file of the object store, named by the SHA-256 of its bytes in hexadecimal."""

    __tablename__ = "assets"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mime: Mapped[str]
    extension: Mapped[str]
    width: Mapped[int | None]
    height: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class AssetRefRow(Row):
    """Who may see an asset and what for; one without any is an orphan."""

    __tablename__ = "asset_refs"
    sha256: Mapped[str] = mapped_column(ForeignKey("assets.sha256"), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    """job, upload, character, style, version, storyboard."""
    owner: Mapped[str] = mapped_column(primary_key=True)
    """The id of that job, character, ..."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class VersionRow(Row):
    """A state of a picture; the history is a tree, so going back adds a version."""

    __tablename__ = "versions"
    __table_args__ = (Index("ix_versions_tenant_subject", "tenant", "subject"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    subject: Mapped[str]
    """What the tree is of, such as a storyboard's frame."""
    parent: Mapped[str | None] = mapped_column(ForeignKey("versions.id"))
    job: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    label: Mapped[str | None]
    request: Mapped[dict[str, Any]]
    assets: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class JobEventRow(Row):
    """What happened to a job or another thing; in a tenant `seq` grows with the commits."""

    __tablename__ = "job_events"
    __table_args__ = (
        Index("ix_job_events_tenant_seq", "tenant", "seq"),
        Index("ix_job_events_job_seq", "job", "seq"),
        {"sqlite_autoincrement": True},
    )
    seq: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    job: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    tenant: Mapped[str]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class PreviewRow(Row):
    """The newest look at a job that is drawn."""

    __tablename__ = "previews"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    tenant: Mapped[str] = mapped_column(index=True)
    k: Mapped[int]
    step: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    """Of the picture in the end, in pixels."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """WebP, smaller than that."""


class WatcherRow(Row):
    """Somebody of a tenant looks at previews; past `until` nobody does."""

    __tablename__ = "watchers"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    until: Mapped[datetime]


class IdempotencyRow(Row):
    """What was answered to a key; the same key with another body is a conflict."""

    __tablename__ = "idempotency"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[str]
    job: Mapped[str | None]
    response: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class BillingOutboxRow(Row):
    """One bill a job at most; the job's id is the meter event's identifier."""

    __tablename__ = "billing_outbox"
    __table_args__ = (Index("ix_billing_outbox_state_due_at", "state", "due_at"),)
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    customer: Mapped[str | None]
    units: Mapped[float]
    occurred_at: Mapped[datetime] = mapped_column(default=now)
    state: Mapped[str] = mapped_column(default="pending")
    """pending, sent, refused, or kept where nobody is billed."""
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(default=now)
    error: Mapped[str | None]


class WebhookEndpointRow(Row):
    """Where a tenant wants to hear of the ends of its jobs."""

    __tablename__ = "webhook_endpoints"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    url: Mapped[str]
    secret: Mapped[str]
    """`whsec_...`: what signs the messages, as standardwebhooks says."""
    types: Mapped[list[str]] = mapped_column(default=list)
    """Events to send, such as job.succeeded; none means all."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    disabled_at: Mapped[datetime | None]


class WebhookOutboxRow(Row):
    """One message to one endpoint; its id stays the same however often it is sent."""

    __tablename__ = "webhook_outbox"
    __table_args__ = (
        UniqueConstraint("endpoint", "job", "type"),
        Index("ix_webhook_outbox_state_due_at", "state", "due_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    endpoint: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    type: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(default="pending")
    """pending, sent, refused."""
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(default=now)
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class StyleRow(Row):
    """A style that can be named in a plan; without a tenant it is everybody's."""

    __tablename__ = "styles"
    __table_args__ = (
        UniqueConstraint("tenant", "name"),
        Index("uq_styles_shared_name", "name", unique=True, sqlite_where=text("tenant IS NULL"),
              postgresql_where=text("tenant IS NULL")),
    )  # fmt: skip
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str | None] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    asset_sha: Mapped[str | None] = mapped_column(ForeignKey("assets.sha256"))
    """Its safetensors file; None for one that the bundle ships."""
    preview_sha: Mapped[str | None] = mapped_column(ForeignKey("assets.sha256"))
    card: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class CharacterRow(Row):
    """Somebody who can be drawn again; `embedding` stands for all references together."""

    __tablename__ = "characters"
    __table_args__ = (
        UniqueConstraint("tenant", "name"),
        Index("ix_characters_tenant_revision", "tenant", "revision"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    revision: Mapped[int] = mapped_column(BigInteger, default=0)
    """The tenant's count at the last change of this one; indexes read what is newer than they."""
    facets: Mapped[dict[str, Any]]
    """Identity, outfit, palette, pose."""
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Little-endian float32, of length 1."""
    encoder: Mapped[str | None]
    """The hash of what made the embedding; vectors of two encoders are never compared."""
    consent: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class CharacterReferenceRow(Row):
    """A picture of a character, and the part of it that shows a facet."""

    __tablename__ = "character_references"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    character: Mapped[str] = mapped_column(
        ForeignKey("characters.id", ondelete="CASCADE"), index=True
    )
    position: Mapped[int]
    asset_sha: Mapped[str] = mapped_column(ForeignKey("assets.sha256"))
    facet: Mapped[str]
    box: Mapped[list[Any] | None]
    """Left, top, right, bottom in pixels; None is the whole picture."""
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary)
    encoder: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class CharacterVersionRow(Row):
    """How a character was before and after each change."""

    __tablename__ = "character_versions"
    character: Mapped[str] = mapped_column(
        ForeignKey("characters.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class CharacterRemovalRow(Row):
    """Tells the indexes of other processes for a day that somebody is gone, and no more."""

    __tablename__ = "character_removals"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    """What indexes call it: a part of its id, which is chance."""
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class StoryboardRow(Row):
    """A graph of frames; the document is the storyboard as it was written."""

    __tablename__ = "storyboards"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class FrameRow(Row):
    """A frame of a storyboard as it was drawn; one whose key has no row is stale."""

    __tablename__ = "frames"
    storyboard: Mapped[str] = mapped_column(
        ForeignKey("storyboards.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 over all that the picture depends on."""
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    asset_sha: Mapped[str] = mapped_column(ForeignKey("assets.sha256"))
    record: Mapped[dict[str, Any]]
    """Plan, attempts, likeness, and who drifted."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class ExecutorLeaseRow(Row):
    """A worker that says it is alive; past `expires_at` its work is given to others."""

    __tablename__ = "executor_leases"
    executor: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(default=now)
    renewed_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    reaped_at: Mapped[datetime | None]
    """It may still run, but nothing that it writes counts any more."""
