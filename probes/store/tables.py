"""The tables of the history, the same in SQLite and in PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, MetaData, Table, Text

VERSION = 1

SCHEMA = "smokeprobe"
"""In PostgreSQL, beside the ledger's tables; SQLite's file has no schemas."""

TABLES = MetaData(schema=SCHEMA)

VERSIONS = Table("history_version", TABLES, Column("version", Integer, nullable=False))

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
    Index("history_of_check", "target", "region", "check", "at"),
    Index("history_by_time", "at"),
)
