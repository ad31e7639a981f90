"""Changes of characters are counted, so that every process hears of those of the others."""

import sqlalchemy as sa
from alembic import op

from serving.storage.columns import Moment

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Go forward."""
    counted = sa.Column("character_revision", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("tenants", counted)
    changed = sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("characters", changed)
    op.create_index("ix_characters_tenant_revision", "characters", ["tenant", "revision"])
    op.create_table(
        "character_removals",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_character_removals_tenant"),
        sa.PrimaryKeyConstraint("tenant", "revision", name="pk_character_removals"),
    )
    op.create_index("ix_character_removals_created_at", "character_removals", ["created_at"])


def downgrade() -> None:
    """Go back; every process must be started again after it."""
    op.drop_index("ix_character_removals_created_at", table_name="character_removals")
    op.drop_table("character_removals")
    op.drop_index("ix_characters_tenant_revision", table_name="characters")
    op.drop_column("characters", "revision")
    op.drop_column("tenants", "character_revision")
