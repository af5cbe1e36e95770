"""What the history is asked by people: the newest records and runs of a target that are as they want them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

import sqlalchemy as sa

from probes.model import Outcome
from probes.store.database import Database
from probes.store.record import Record, Run
from probes.store.tables import HISTORY, RUNS

AT_ONCE = 2000
"""So many records are read in one transaction: a verdict has some 1 KB."""

_T = TypeVar("_T", Record, Run)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; what is empty is not asked for. `since` is in seconds since the epoch."""

    region: str = ""
    check: str = ""
    outcome: str = ""
    since: float = 0.0
    limit: int = 50


class Reader:
    """Reads the history of one target. All methods raise StoreError where it cannot be read."""

    def __init__(self, database: Database, target: str) -> None:
        self._database, self._target = database, target

    def records(self, wanted: Wanted) -> list[Record]:
        """Verdicts, and occasions without one; the newest first."""
        return self._newest(Record, HISTORY, wanted)

    def runs(self, wanted: Wanted) -> list[Run]:
        """Runs, whatever their checks; the newest first."""
        return self._newest(Run, RUNS, wanted)

    def answered(self, since: float) -> Iterator[Record]:
        """The records since a time whose check has passed or was slow, the oldest first and a batch at a time."""
        columns = [HISTORY.c[field.name] for field in fields(Record)]
        wanted = sa.select(*columns).where(
            HISTORY.c.target == self._target,
            HISTORY.c.outcome.in_([str(Outcome.PASSED), str(Outcome.DEGRADED)]),
            HISTORY.c.verdict != "",
        )
        after, last = since, ""
        while True:
            older = sa.or_(HISTORY.c.at > after, sa.and_(HISTORY.c.at == after, HISTORY.c.id > last))
            statement = wanted.where(older).order_by(HISTORY.c.at, HISTORY.c.id).limit(AT_ONCE)
            with self._database.transaction(writes=False) as connection:
                rows = [Record(*row) for row in connection.execute(statement)]
            yield from rows
            if len(rows) < AT_ONCE:
                return
            after, last = rows[-1].at, rows[-1].id

    def _newest(self, kind: type[_T], table: sa.Table, wanted: Wanted) -> list[_T]:
        columns = [table.c[field.name] for field in fields(kind)]
        statement = sa.select(*columns).where(table.c.target == self._target, table.c.at >= wanted.since)
        for name in ("region", "check", "outcome"):
            value = getattr(wanted, name)
            if value and name in table.c:
                statement = statement.where(table.c[name] == value)
        with self._database.transaction(writes=False) as connection:
            rows = connection.execute(statement.order_by(table.c.at.desc(), table.c.id).limit(wanted.limit)).all()
        return [kind(*row) for row in rows]
