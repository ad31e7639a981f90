"""Frames of storyboards are found by their keys; jobs have subjects and make files."""

import sqlalchemy as sa
from alembic import op

from serving.storage.columns import Document, Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go forward; nothing was ever written to the tables that are replaced."""
    op.drop_table("frames")
    op.drop_table("shots")
    op.create_table(
        "frames",
        sa.Column("storyboard", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("asset_sha", sa.String(), nullable=False),
        sa.Column("record", Document, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["asset_sha"], ["assets.sha256"], name="fk_frames_asset_sha"),
        sa.ForeignKeyConstraint(
            ["storyboard"], ["storyboards.id"], name="fk_frames_storyboard", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_frames_tenant"),
        sa.PrimaryKeyConstraint("storyboard", "key", name="pk_frames"),
    )
    op.create_table(
        "job_files",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("asset_sha", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["asset_sha"], ["assets.sha256"], name="fk_job_files_asset_sha"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_job_files_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", "name", name="pk_job_files"),
    )
    op.add_column("jobs", sa.Column("subject", sa.String(), nullable=True))
    op.create_index("ix_jobs_tenant_subject", "jobs", ["tenant", "subject"], unique=False)


def downgrade() -> None:
    """Go back; what only the new tables held is lost."""
    op.drop_index("ix_jobs_tenant_subject", table_name="jobs")
    op.drop_column("jobs", "subject")
    op.drop_table("job_files")
    op.drop_table("frames")
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
