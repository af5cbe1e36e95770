"""The tables of the alert rules' states and of what people are told, beside those of the history."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, Table, Text

from probes.store.tables import TABLES

BOOKS = Table(
    "alert_books",
    TABLES,
    Column("target", Text, primary_key=True),
    Column("env", Text, primary_key=True),
    Column("book", Text, nullable=False),  # JSON; empty before the first look
)
"""One row for each environment: whoever looks locks it first."""

NOTICES = Table(
    "alert_notices",
    TABLES,
    Column("key", Text, primary_key=True),  # of the incident
    Column("number", Integer, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("env", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("notice", Text, nullable=False),  # JSON
    Column("outcome", Text, nullable=False),  # due, taken, refused
    Column("due_at", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("lease", Text, nullable=False),  # whoever sends it now, until `leased_until`
    Column("leased_until", Double, nullable=False),
    Column("problem", Text, nullable=False),  # why it was not taken the last time
    Index("alert_notices_due", "target", "env", "outcome", "due_at"),
    Index("alert_notices_by_time", "at"),
)
