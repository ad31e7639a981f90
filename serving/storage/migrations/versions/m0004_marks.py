"""What a job makes of its frames may be signed, and is signed once for the same bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go forward."""
    op.add_column("job_files", sa.Column("mark", sa.String(), nullable=True))
    op.create_index("ix_job_files_mark", "job_files", ["mark"], unique=False)


def downgrade() -> None:
    """Go back; what is built again is signed again."""
    op.drop_index("ix_job_files_mark", table_name="job_files")
    op.drop_column("job_files", "mark")
