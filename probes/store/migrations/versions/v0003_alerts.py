"""The states of the alert rules, and what people are told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them."""
    schema = op.get_context().version_table_schema
    op.create_table(
        "alert_books",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("env", sa.Text, primary_key=True),
        sa.Column("book", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_table(
        "alert_notices",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("lease", sa.Text, nullable=False),
        sa.Column("leased_until", sa.Double, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index("alert_notices_due", "alert_notices", ["target", "env", "outcome", "due_at"], schema=schema)
    op.create_index("alert_notices_by_time", "alert_notices", ["at"], schema=schema)
