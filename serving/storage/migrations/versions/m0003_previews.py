"""Events may be of other things than jobs; jobs are decided upon, and looked at on their way."""

import sqlalchemy as sa
from alembic import op

from serving.storage.columns import Moment

revision = "0003"
down_revision = "0002"
_LASTING = {"sqlite_autoincrement": True}
"""What SQLite would forget of a table that is made anew: no number is given twice."""


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("job_events", table_kwargs=_LASTING) as events:
        events.alter_column("job", existing_type=sa.String(), nullable=True)
    op.add_column("jobs", sa.Column("decision", sa.String(), nullable=True))
    op.create_table(
        "previews",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("k", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_previews_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", name="pk_previews"),
    )
    op.create_index("ix_previews_tenant", "previews", ["tenant"], unique=False)
    op.create_table(
        "watchers",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_watchers_tenant"),
        sa.PrimaryKeyConstraint("tenant", name="pk_watchers"),
    )


def downgrade() -> None:
    """Go back; what only the new tables held is lost."""
    op.drop_table("watchers")
    op.drop_index("ix_previews_tenant", table_name="previews")
    op.drop_table("previews")
    op.drop_column("jobs", "decision")
    op.execute("DELETE FROM job_events WHERE job IS NULL")
    with op.batch_alter_table("job_events", table_kwargs=_LASTING) as events:
        events.alter_column("job", existing_type=sa.String(), nullable=False)
