"""The tables as they are now, the same in SQLite and in PostgreSQL; `migrations` has how they came to be.

What is filtered or added up is a column; of a verdict all the rest is JSON, which only a person reads.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Double, Index, Integer, MetaData, String, Table, Text, text

VERSION = 4
"""The newest migration's number."""

SCHEMA = "smokeprobe"
"""In PostgreSQL, beside the ledger's tables; SQLite's file has no schemas."""

TABLES = MetaData(schema=SCHEMA)

VERSIONS = Table("history_version", TABLES, Column("version", Integer, nullable=False))
"""One row. Every program looks here before it does anything, those before the first migration too."""

REVISIONS = Table("history_revision", MetaData(schema=SCHEMA), Column("version_num", String(32), primary_key=True))
"""Alembic's own note of where it is, which it keeps by itself. It changes with `history_version`, in one transaction."""

RUNS = Table(
    "runs",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("at", Double, nullable=False),  # when it began
    Column("env", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("mode", Text, nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("version", Text, nullable=False),  # the target's
    Column("budget_percent", Double),
    Column("notes", Text, nullable=False),
    Index("runs_of_target", "target", "at"),
    Index("runs_by_time", "at"),
)

HISTORY = Table(
    "history",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("target", Text, nullable=False),  # its origin, as in the ledger: several may share a database
    Column("at", Double, nullable=False),
    Column("region", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("check", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("duration_s", Double),
    Column("reason", Text, nullable=False),
    Column("flaky", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("run", Text, nullable=False, server_default=""),  # of a run; a master's records have none
    Column("version", Text, nullable=False, server_default=""),  # the target's
    Column("certificate_days", Double),
    Column("step", Text, nullable=False, server_default=""),  # the one whose time came nearest to its limit
    Column("judged_ms", Double),
    Column("limit_ms", Double),
    Column("confirms", Text, nullable=False, server_default=""),  # the id of the failure that was looked at again
    Index("history_of_check", "target", "region", "check", "at"),
    Index("history_by_time", "at"),
    Index("history_of_outcome", "target", "region", "check", "outcome", "at"),
    Index(
        "history_failed",
        "target",
        "at",
        sqlite_where=text("outcome = 'failed'"),
        postgresql_where=text("outcome = 'failed'"),
    ),
)

CELL = ("target", "region", "verified", "check", "hour")
"""What the sums of an hour are kept by; `hour` counts from the epoch."""


def _cell() -> list[Column[Any]]:
    kinds = {"verified": Boolean, "hour": Integer}
    return [Column(name, kinds.get(name, Text), primary_key=True, autoincrement=False) for name in CELL]


HOURS = Table(
    "hours",
    TABLES,
    *_cell(),
    Column("passed", Integer, nullable=False),
    Column("degraded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("blind", Integer, nullable=False),  # a verdict that says nothing of the target
    Column("silent", Integer, nullable=False),  # no verdict
    Index("hours_by_time", "hour"),
)
"""How many records of each kind there were, so that a report over months need not read them all."""

TIMES = Table(
    "times",
    TABLES,
    *_cell(),
    Column("limit_ms", Double, primary_key=True),  # 0 where there was none
    Column("size", Integer, primary_key=True, autoincrement=False),  # see sums.time_class
    Column("count", Integer, nullable=False),
    Index("times_by_time", "hour"),
)
"""How many judged times of each size there were in a day (UTC), whose first hour stands for it: any percentile can be
had from that. By the hour they would be ten times as many rows, which a page of 90 days takes a second to read."""

SEEN_VERSIONS = Table(
    "seen_versions",
    TABLES,
    *[column for column in _cell() if column.name in {"target", "check", "hour"}],
    Column("version", Text, primary_key=True),
    Column("first_at", Double, nullable=False),
    Index("seen_versions_by_time", "hour"),
)
"""Which versions of the target a check has met in which hour."""
