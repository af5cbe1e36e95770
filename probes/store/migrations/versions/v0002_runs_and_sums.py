"""Runs; of each verdict what a report over months asks for; and sums of each hour, counted of what there is already."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

CELL = ("target", "region", "verified", "check", "hour")
BLIND = ("throttled", "error", "skipped")


def upgrade() -> None:
    """Add what is new; no record is rewritten."""
    schema = op.get_context().version_table_schema
    _runs(schema)
    _columns(schema)
    _sums(schema)
    _count(schema)


def _runs(schema: str | None) -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("duration_s", sa.Double, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("exit_code", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("budget_percent", sa.Double),
        sa.Column("notes", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index("runs_of_target", "runs", ["target", "at"], schema=schema)
    op.create_index("runs_by_time", "runs", ["at"], schema=schema)


def _columns(schema: str | None) -> None:
    for name in ("run", "version", "step"):
        op.add_column("history", sa.Column(name, sa.Text, nullable=False, server_default=""), schema=schema)
    for name in ("certificate_days", "judged_ms", "limit_ms"):
        op.add_column("history", sa.Column(name, sa.Double), schema=schema)
    by_outcome = ["target", "region", "check", "outcome", "at"]
    op.create_index("history_of_outcome", "history", by_outcome, schema=schema)
    failed = sa.text("outcome = 'failed'")
    op.create_index(
        "history_failed", "history", ["target", "at"], schema=schema, sqlite_where=failed, postgresql_where=failed
    )


def _sums(schema: str | None) -> None:
    op.create_table(
        "hours",
        *_cell(),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("passed", "degraded", "failed", "blind", "silent")),
        schema=schema,
    )
    op.create_table(
        "times",
        *_cell(),
        sa.Column("limit_ms", sa.Double, primary_key=True),
        sa.Column("size", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer, nullable=False),
        schema=schema,
    )
    op.create_table(
        "seen_versions",
        *(column for column in _cell() if column.name in {"target", "check", "hour"}),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("first_at", sa.Double, nullable=False),
        schema=schema,
    )
    for name in ("hours", "times", "seen_versions"):
        op.create_index(f"{name}_by_time", name, ["hour"], schema=schema)


def _cell() -> list[sa.Column[Any]]:
    kinds: dict[str, Any] = {"verified": sa.Boolean, "hour": sa.Integer}
    return [sa.Column(name, kinds.get(name, sa.Text), primary_key=True, autoincrement=False) for name in CELL]


def _count(schema: str | None) -> None:
    text, number = sa.Text, sa.Integer
    history = sa.table(
        "history", sa.column("target", text), sa.column("region", text), sa.column("verified", sa.Boolean),
        sa.column("check", text), sa.column("outcome", text), sa.column("at", sa.Double), schema=schema,
    )  # fmt: skip
    hours = sa.table(
        "hours",
        *(sa.column(name) for name in (*CELL, "passed", "degraded", "failed", "blind", "silent")),
        schema=schema,
    )

    def of(*outcomes: str) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((history.c.outcome.in_(outcomes), 1), else_=0))

    hour = sa.cast(sa.func.floor(history.c.at / 3600), number)
    cell = [history.c.target, history.c.region, history.c.verified, history.c.check, hour]
    sums = [of("passed"), of("degraded"), of("failed"), of(*BLIND), of("no data")]
    op.execute(
        hours.insert().from_select(
            [*CELL, "passed", "degraded", "failed", "blind", "silent"], sa.select(*cell, *sums).group_by(*cell)
        )
    )
