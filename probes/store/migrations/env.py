"""What Alembic runs for each of its commands: the steps, within the transaction that the caller has begun."""

from __future__ import annotations

from alembic import context

from probes.store import alert_tables  # noqa: F401 - its tables are among TABLES
from probes.store.tables import REVISIONS, TABLES

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=TABLES,
    version_table=REVISIONS.name,
    version_table_schema=given["schema"],
)
context.run_migrations()
