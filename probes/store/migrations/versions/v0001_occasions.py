"""The tables as they were before there were steps: made where they are missing, and else taken over as they stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    schema = op.get_context().version_table_schema
    if sa.inspect(op.get_bind()).has_table("history_version", schema=schema):
        return
    op.create_table("history_version", sa.Column("version", sa.Integer, nullable=False), schema=schema)
    op.create_table(
        "history",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("check", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("duration_s", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("flaky", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index("history_of_check", "history", ["target", "region", "check", "at"], schema=schema)
    op.create_index("history_by_time", "history", ["at"], schema=schema)
