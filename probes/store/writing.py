"""How records and runs are written, within somebody's transaction, and old ones removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

import sqlalchemy as sa

from probes.store.insert import insert_into
from probes.store.record import Record, Run
from probes.store.sums import add_up, hour_of
from probes.store.tables import HISTORY, HOURS, RUNS, SEEN_VERSIONS, TIMES

_T = TypeVar("_T", Record, Run)


def write_run(connection: sa.Connection, target: str, run: Run, records: Sequence[Record]) -> None:
    """Write a run and its verdicts, unless they are there."""
    once = insert_into(connection, RUNS).on_conflict_do_nothing(index_elements=["id"])
    connection.execute(once, _row(target, _storable(run)))
    if records:
        write_records(connection, target, records)


def write_records(connection: sa.Connection, target: str, records: Sequence[Record]) -> None:
    """Write what is not there yet, and add it up."""
    once = insert_into(connection, HISTORY).on_conflict_do_nothing(index_elements=["id"]).returning(HISTORY.c.id)
    storable = [_storable(record) for record in records]
    written = set(connection.execute(once, [_row(target, record) for record in storable]).scalars())
    add_up(connection, target, [record for record in storable if record.id in written])


def remove_old(connection: sa.Connection, before: float, most: int) -> int:
    """Remove at most so many rows of each kind that are older than a time, of whatever target; how many records."""
    for table in (RUNS, HOURS, TIMES, SEEN_VERSIONS):
        old = table.c.at < before if table is RUNS else table.c.hour < hour_of(before)
        _remove(connection, table, old, most)
    return _remove(connection, HISTORY, HISTORY.c.at < before, most)


def _remove(connection: sa.Connection, table: sa.Table, old: sa.ColumnElement[bool], most: int) -> int:
    keys = list(table.primary_key)
    some = sa.select(*keys).where(old).limit(most)
    return connection.execute(sa.delete(table).where(sa.tuple_(*keys).in_(some))).rowcount


def _row(target: str, what: Record | Run) -> dict[str, Any]:
    return {"target": target, **asdict(what)}


def _storable(what: _T) -> _T:
    """With texts as both databases take them: a target may say what neither UTF-8 nor PostgreSQL has."""
    clean: dict[str, Any] = {
        name: value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
        for name, value in asdict(what).items()
        if isinstance(value, str)
    }
    return replace(what, **clean)
