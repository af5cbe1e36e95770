"""Which failure an occasion has looked at again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    schema = op.get_context().version_table_schema
    op.add_column("history", sa.Column("confirms", sa.Text, nullable=False, server_default=""), schema=schema)
