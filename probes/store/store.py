"""The history of a target: what became of each occasion, and the runs.

What counts a record once is the primary key: whoever is second changes nothing, on whatever machine, however late.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from probes.store.database import Database, RefusedError, now_of, open_database
from probes.store.insert import insert_into
from probes.store.record import NO_DATA, Record, Run
from probes.store.sums import add_up, hour_of
from probes.store.tables import HISTORY, HOURS, RUNS, SEEN_VERSIONS, TIMES

_T = TypeVar("_T", Record, Run)
_COLUMNS = [HISTORY.c[field.name] for field in fields(Record)]


def open_store(state_dir: Path, url: str, target: str) -> Store:
    """The history of a target: in the PostgreSQL database at `url`, or without one in `state_dir`.

    Nothing is asked of either before the first use. Raises StoreError where the URL cannot be read.
    """
    return Store(open_database(state_dir, url), target)


class Store:
    """All records of one target. All methods raise StoreError where it cannot be used."""

    def __init__(self, database: Database, target: str) -> None:
        self._database = database
        self._target = target

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        return self._database.place

    def add(self, records: Sequence[Record]) -> list[Record]:
        """Write what is not written yet; returns what the database takes by no means, whatever else is written."""
        try:
            self._insert(records)
        except RefusedError:
            refused = [record for record in records if not self._takes(record)]
        else:
            refused = []
        return refused

    def add_run(self, run: Run, records: Sequence[Record]) -> None:
        """Write a run and its verdicts: all of it, or nothing."""
        with self._database.transaction(writes=True) as connection:
            connection.execute(sa.insert(RUNS).values(self._row(_storable(run))))
            if records:
                self._write(connection, records)

    def last(self, region: str, checks: Collection[str], count: int) -> list[Record]:
        """For each of a region's checks its newest `count` records and its newest verdict, oldest first."""
        found = []
        with self._database.transaction(writes=False) as connection:
            for check in checks:
                of_check = (
                    sa.select(*_COLUMNS)
                    .where(HISTORY.c.target == self._target, HISTORY.c.region == region, HISTORY.c.check == check)
                    .order_by(HISTORY.c.at.desc())
                )
                rows = connection.execute(of_check.limit(count)).all()
                verdict = connection.execute(of_check.where(HISTORY.c.outcome != NO_DATA).limit(1)).all()
                older = [row for row in verdict if row not in rows]
                found += [Record(*row) for row in reversed([*rows, *older])]
        return found

    def forget(self, keep_s: float, most: int) -> int:
        """Remove at most so many rows of each kind that are older than so many seconds, of whatever target.

        By the database's clock: a machine whose own is far ahead would take from all others what they share. Returns
        how many records.
        """
        with self._database.transaction(writes=True) as connection:
            before = now_of(connection) - keep_s
            for table in (RUNS, HOURS, TIMES, SEEN_VERSIONS):
                old = table.c.at < before if table is RUNS else table.c.hour < hour_of(before)
                _remove(connection, table, old, most)
            return _remove(connection, HISTORY, HISTORY.c.at < before, most)

    def close(self) -> None:
        """Close the connection that is kept. Nobody need: whoever asks next makes a new one."""
        self._database.close()

    def _insert(self, records: Sequence[Record]) -> None:
        with self._database.transaction(writes=True) as connection:
            self._write(connection, records)

    def _write(self, connection: sa.Connection, records: Sequence[Record]) -> None:
        once = insert_into(connection, HISTORY).on_conflict_do_nothing(index_elements=["id"]).returning(HISTORY.c.id)
        storable = [_storable(record) for record in records]
        written = set(connection.execute(once, [self._row(record) for record in storable]).scalars())
        add_up(connection, self._target, [record for record in storable if record.id in written])

    def _row(self, what: Record | Run) -> dict[str, Any]:
        return {"target": self._target, **asdict(what)}

    def _takes(self, record: Record) -> bool:
        try:
            self._insert([record])
        except RefusedError:
            return False
        return True


def _remove(connection: sa.Connection, table: sa.Table, old: sa.ColumnElement[bool], most: int) -> int:
    keys = list(table.primary_key)
    some = sa.select(*keys).where(old).limit(most)
    return connection.execute(sa.delete(table).where(sa.tuple_(*keys).in_(some))).rowcount


def _storable(what: _T) -> _T:
    """With texts as both databases take them: a target may say what neither UTF-8 nor PostgreSQL has."""
    clean: dict[str, Any] = {
        name: value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
        for name, value in asdict(what).items()
        if isinstance(value, str)
    }
    return replace(what, **clean)
