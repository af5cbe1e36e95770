"""What is added up as records are written: counts of each hour, and how often a time of each day was how long.

Sums only grow, by SQL that adds, so that of several writers none undoes what another has counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from probes.store.insert import insert_into
from probes.store.record import NO_DATA, Record
from probes.store.tables import CELL, HOURS, SEEN_VERSIONS, TIMES

HOUR_S = 3600.0

CLASS_WIDTH = 1.05
"""Times of one class differ by so much at most: a percentile is right to 2.5 %."""

_COUNTED = {"passed": "passed", "degraded": "degraded", "failed": "failed", NO_DATA: "silent"}
"""The column that counts an outcome; all others are blind."""

_Cell = tuple[str, str, bool, str, int]


def time_class(ms: float) -> int:
    """The class of a time in milliseconds; below a hundredth of one all are the same."""
    return round(math.log(max(ms, 0.01), CLASS_WIDTH))


def class_ms(number: int) -> float:
    """The time in the middle of a class, in milliseconds."""
    return CLASS_WIDTH**number


def hour_of(at: float) -> int:
    """The hour of a time, both since the epoch."""
    return math.floor(at / HOUR_S)


def add_up(connection: sa.Connection, target: str, records: Iterable[Record]) -> None:
    """Count records that have just been written, each for the first time."""
    counts: dict[_Cell, Counter[str]] = {}
    times: Counter[tuple[_Cell, float, int]] = Counter()
    versions: dict[tuple[str, int, str], float] = {}
    for record in records:
        hour = hour_of(record.at)
        cell = (target, record.region, record.verified, record.check, hour)
        counts.setdefault(cell, Counter())[_COUNTED.get(record.outcome, "blind")] += 1
        if record.judged_ms is not None:
            of_day = (*cell[:-1], hour - hour % 24)
            times[of_day, record.limit_ms or 0.0, time_class(record.judged_ms)] += 1
        if record.version:
            key = (record.check, hour, record.version)
            versions[key] = min(record.at, versions.get(key, record.at))
    _add(connection, HOURS, [_cell(cell) | {name: count[name] for name in _SUMS} for cell, count in counts.items()])
    _add(
        connection, TIMES,
        [_cell(cell) | {"limit_ms": limit, "size": number, "count": count}
         for (cell, limit, number), count in times.items()],
    )  # fmt: skip
    _add(
        connection, SEEN_VERSIONS,
        [{"target": target, "check": check, "hour": hour, "version": version, "first_at": at}
         for (check, hour, version), at in versions.items()],
    )  # fmt: skip


_SUMS = ("passed", "degraded", "failed", "blind", "silent")


def _cell(cell: _Cell) -> dict[str, Any]:
    return dict(zip(CELL, cell, strict=True))


def _add(connection: sa.Connection, table: sa.Table, rows: list[Mapping[str, Any]]) -> None:
    """Add rows, in the order of their keys, so that two writers never wait for each other crosswise."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    insert = insert_into(connection, table)
    new = insert.excluded
    grown = {
        column.name: sa.case((new[column.name] < column, new[column.name]), else_=column)
        if column.name == "first_at"
        else column + new[column.name]
        for column in table.columns
        if column.name not in keys
    }
    statement = insert.on_conflict_do_update(index_elements=keys, set_=grown)
    connection.execute(statement, sorted(rows, key=lambda row: [row[key] for key in keys]))
