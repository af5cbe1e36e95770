"""The tables, brought up to date by Alembic: its steps are in `migrations`, one file a version, and shipped with us.

Both databases change tables within transactions, and here the caller holds one, and a lock: whoever is killed in the
middle has changed nothing, and whoever comes second finds it done.
"""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from probes.store.tables import VERSION, VERSIONS

FOLDER = Path(__file__).with_name("migrations")


def upgrade(connection: sa.Connection, schema: str | None, version: int = VERSION) -> None:
    """Take the tables to a version, the newest if none is named; `schema` is where they are, None in SQLite."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells everybody what it is going to do
    if schema and not sa.inspect(connection).has_schema(schema):
        connection.execute(sa.schema.CreateSchema(schema))  # Alembic's own table is in it, before any step
    command.upgrade(config(connection, schema), f"{version:04}")
    versions = sa.table(VERSIONS.name, sa.column("version"), schema=schema)
    connection.execute(sa.delete(versions))
    connection.execute(sa.insert(versions).values(version=version))


def config(connection: sa.Connection, schema: str | None) -> Config:
    """What `migrations/env.py` reads."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.attributes.update(connection=connection, schema=schema)
    return made
