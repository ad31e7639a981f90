"""Begin with every table."""

import sqlalchemy as sa
from alembic import op

from serving.storage.columns import Document, Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "assets",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mime", sa.String(), nullable=False),
        sa.Column("extension", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_assets"),
    )
    op.create_table(
        "executor_leases",
        sa.Column("executor", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("renewed_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("reaped_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("executor", name="pk_executor_leases"),
    )
    op.create_index(
        "ix_executor_leases_expires_at", "executor_leases", ["expires_at"], unique=False
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("stripe_customer", sa.String(), nullable=True),
        sa.Column("quota", sa.Double(), nullable=True),
        sa.Column("limits", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )
    op.create_table(
        "asset_refs",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["assets.sha256"], name="fk_asset_refs_sha256"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_asset_refs_tenant"),
        sa.PrimaryKeyConstraint("sha256", "tenant", "kind", "owner", name="pk_asset_refs"),
    )
    op.create_table(
        "characters",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("facets", Document, nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("encoder", sa.String(), nullable=True),
        sa.Column("consent", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_characters_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_characters"),
        sa.UniqueConstraint("tenant", "name", name="uq_characters_tenant_name"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=True),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("params", Document, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.Column("units", sa.Double(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("started_at", Moment(), nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("deadline_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_jobs_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index(
        "ix_jobs_tenant_created_at_id", "jobs", ["tenant", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_jobs_unended",
        "jobs",
        ["state"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "storyboards",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_storyboards_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_storyboards"),
    )
    op.create_index("ix_storyboards_tenant", "storyboards", ["tenant"], unique=False)
    op.create_table(
        "styles",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("asset_sha", sa.String(), nullable=True),
        sa.Column("preview_sha", sa.String(), nullable=True),
        sa.Column("card", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["asset_sha"], ["assets.sha256"], name="fk_styles_asset_sha"),
        sa.ForeignKeyConstraint(["preview_sha"], ["assets.sha256"], name="fk_styles_preview_sha"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_styles_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_styles"),
        sa.UniqueConstraint("tenant", "name", name="uq_styles_tenant_name"),
    )
    op.create_index(
        "uq_styles_shared_name",
        "styles",
        ["name"],
        unique=True,
        sqlite_where=sa.text("tenant IS NULL"),
        postgresql_where=sa.text("tenant IS NULL"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("scopes", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_users_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("issuer", "subject", name="uq_users_issuer_subject"),
    )
    op.create_index("ix_users_tenant", "users", ["tenant"], unique=False)
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("types", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("disabled_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_webhook_endpoints_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
    )
    op.create_index("ix_webhook_endpoints_tenant", "webhook_endpoints", ["tenant"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("scopes", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.Column("used_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_api_keys_tenant"),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name="fk_api_keys_user"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
    )
    op.create_index("ix_api_keys_tenant", "api_keys", ["tenant"], unique=False)
    op.create_table(
        "billing_outbox",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=True),
        sa.Column("units", sa.Double(), nullable=False),
        sa.Column("occurred_at", Moment(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_billing_outbox_job"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_billing_outbox_tenant"),
        sa.PrimaryKeyConstraint("job", name="pk_billing_outbox"),
    )
    op.create_index(
        "ix_billing_outbox_state_due_at", "billing_outbox", ["state", "due_at"], unique=False
    )
    op.create_index("ix_billing_outbox_tenant", "billing_outbox", ["tenant"], unique=False)
    op.create_table(
        "character_references",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("character", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("asset_sha", sa.String(), nullable=False),
        sa.Column("facet", sa.String(), nullable=False),
        sa.Column("box", Document, nullable=True),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("encoder", sa.String(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_sha"], ["assets.sha256"], name="fk_character_references_asset_sha"
        ),
        sa.ForeignKeyConstraint(
            ["character"],
            ["characters.id"],
            name="fk_character_references_character",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_character_references_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_character_references"),
    )
    op.create_index(
        "ix_character_references_character", "character_references", ["character"], unique=False
    )
    op.create_table(
        "character_versions",
        sa.Column("character", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["character"],
            ["characters.id"],
            name="fk_character_versions_character",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_character_versions_tenant"),
        sa.PrimaryKeyConstraint("character", "version", name="pk_character_versions"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("response", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_idempotency_tenant"),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "job_events",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_job_events_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq", name="pk_job_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_events_job_seq", "job_events", ["job", "seq"], unique=False)
    op.create_index("ix_job_events_tenant_seq", "job_events", ["tenant", "seq"], unique=False)
    op.create_table(
        "job_frames",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("k", sa.Integer(), nullable=False),
        sa.Column("asset_sha", sa.String(), nullable=False),
        sa.Column("plan", Document, nullable=False),
        sa.Column("units", sa.Double(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["asset_sha"], ["assets.sha256"], name="fk_job_frames_asset_sha"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_job_frames_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", "k", name="pk_job_frames"),
    )
    op.create_index("ix_job_frames_asset_sha", "job_frames", ["asset_sha"], unique=False)
    op.create_table(
        "shots",
        sa.Column("storyboard", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.ForeignKeyConstraint(
            ["storyboard"], ["storyboards.id"], name="fk_shots_storyboard", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_shots_tenant"),
        sa.PrimaryKeyConstraint("storyboard", "id", name="pk_shots"),
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("request", Document, nullable=False),
        sa.Column("assets", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_versions_job"),
        sa.ForeignKeyConstraint(["parent"], ["versions.id"], name="fk_versions_parent"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_versions_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
    )
    op.create_index("ix_versions_tenant_subject", "versions", ["tenant", "subject"], unique=False)
    op.create_table(
        "webhook_outbox",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("payload", Document, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint"],
            ["webhook_endpoints.id"],
            name="fk_webhook_outbox_endpoint",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.id"], name="fk_webhook_outbox_job", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_webhook_outbox_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_outbox"),
        sa.UniqueConstraint("endpoint", "job", "type", name="uq_webhook_outbox_endpoint_job_type"),
    )
    op.create_index(
        "ix_webhook_outbox_state_due_at", "webhook_outbox", ["state", "due_at"], unique=False
    )
    op.create_index("ix_webhook_outbox_tenant", "webhook_outbox", ["tenant"], unique=False)
    op.create_table(
        "frames",
        sa.Column("storyboard", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("shot", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("asset_sha", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["asset_sha"], ["assets.sha256"], name="fk_frames_asset_sha"),
        sa.ForeignKeyConstraint(
            ["storyboard", "shot"],
            ["shots.storyboard", "shots.id"],
            name="fk_frames_storyboard_shot",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["storyboard"], ["storyboards.id"], name="fk_frames_storyboard", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_frames_tenant"),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name="fk_frames_version"),
        sa.PrimaryKeyConstraint("storyboard", "id", name="pk_frames"),
    )


def downgrade() -> None:
    """Go back; what only the new tables held is lost."""
    op.drop_table("frames")
    op.drop_index("ix_webhook_outbox_tenant", table_name="webhook_outbox")
    op.drop_index("ix_webhook_outbox_state_due_at", table_name="webhook_outbox")
    op.drop_table("webhook_outbox")
    op.drop_index("ix_versions_tenant_subject", table_name="versions")
    op.drop_table("versions")
    op.drop_table("shots")
    op.drop_index("ix_job_frames_asset_sha", table_name="job_frames")
    op.drop_table("job_frames")
    op.drop_index("ix_job_events_tenant_seq", table_name="job_events")
    op.drop_index("ix_job_events_job_seq", table_name="job_events")
    op.drop_table("job_events")
    op.drop_index("ix_idempotency_created_at", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_table("character_versions")
    op.drop_index("ix_character_references_character", table_name="character_references")
    op.drop_table("character_references")
    op.drop_index("ix_billing_outbox_tenant", table_name="billing_outbox")
    op.drop_index("ix_billing_outbox_state_due_at", table_name="billing_outbox")
    op.drop_table("billing_outbox")
    op.drop_index("ix_api_keys_tenant", table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index("ix_webhook_endpoints_tenant", table_name="webhook_endpoints")
    op.drop_table("webhook_endpoints")
    op.drop_index("ix_users_tenant", table_name="users")
    op.drop_table("users")
    op.drop_index(
        "uq_styles_shared_name",
        table_name="styles",
        sqlite_where=sa.text("tenant IS NULL"),
        postgresql_where=sa.text("tenant IS NULL"),
    )
    op.drop_table("styles")
    op.drop_index("ix_storyboards_tenant", table_name="storyboards")
    op.drop_table("storyboards")
    op.drop_index(
        "ix_jobs_unended",
        table_name="jobs",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index("ix_jobs_tenant_created_at_id", table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("characters")
    op.drop_table("asset_refs")
    op.drop_table("tenants")
    op.drop_index("ix_executor_leases_expires_at", table_name="executor_leases")
    op.drop_table("executor_leases")
    op.drop_table("assets")
