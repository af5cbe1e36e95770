"""The history of a target: what became of each occasion, and the runs.

What counts a record once is the primary key: whoever is second changes nothing, on whatever machine, however late.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path

import sqlalchemy as sa

from probes.store.database import Database, RefusedError, now_of, open_database
from probes.store.record import NO_DATA, Record, Run
from probes.store.tables import HISTORY
from probes.store.writing import remove_old, write_records, write_run

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
            write_run(connection, self._target, run, records)

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
            return remove_old(connection, now_of(connection) - keep_s, most)

    def close(self) -> None:
        """Close the connection that is kept. Nobody need: whoever asks next makes a new one."""
        self._database.close()

    def _insert(self, records: Sequence[Record]) -> None:
        with self._database.transaction(writes=True) as connection:
            write_records(connection, self._target, records)

    def _takes(self, record: Record) -> bool:
        try:
            self._insert([record])
        except RefusedError:
            return False
        return True
