"""What a status page asks of the history: sums, never all records. Each answer is bounded by spans, not by traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from probes.model import LOCAL
from probes.store.database import Database
from probes.store.record import NO_DATA
from probes.store.sums import HOUR_S
from probes.store.tables import HISTORY, HOURS, RUNS, SEEN_VERSIONS, TIMES

Cell = tuple[str, bool, str]
"""Region, whether it is verified, and check."""

MOST_FAILED = 10_000
"""So many of the newest failed verdicts are looked at for incidents: three weeks of one check that fails each minute
in three regions would be more, and then the oldest of them begin later than they did."""


@dataclass(frozen=True, slots=True)
class HourSums:
    """The counts of an hour, which is counted from the epoch; see `tables.HOURS`."""

    region: str
    verified: bool
    check: str
    hour: int
    passed: int = 0
    degraded: int = 0
    failed: int = 0
    blind: int = 0
    silent: int = 0


@dataclass(frozen=True, slots=True)
class TimeCount:
    """How often, in a day since the epoch (UTC), a time was of a size (`sums.class_ms`) under a limit; 0 is none."""

    region: str
    verified: bool
    check: str
    day: int
    limit_ms: float
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class SeenVersion:
    """A version of the target that a check has met in an hour."""

    check: str
    hour: int
    version: str
    first_at: float


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed verdict, and when the check was right there before and after it; None where it never was."""

    region: str
    check: str
    at: float
    reason: str
    right_before: float | None
    right_after: float | None


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest verdict of a check in a region."""

    region: str
    verified: bool
    check: str
    at: float
    outcome: str
    version: str
    certificate_days: float | None


class StatusReader:
    """Reads what there is of a target since some time. All methods raise StoreError where it cannot be read."""

    def __init__(self, database: Database, target: str) -> None:
        self._database, self._target = database, target

    def hours(self, since_hour: int) -> list[HourSums]:
        """All hours that have anything."""
        c = HOURS.c
        columns = (c.region, c.verified, c.check, c.hour, c.passed, c.degraded, c.failed, c.blind, c.silent)
        return [HourSums(*row) for row in self._rows(sa.select(*columns).where(*self._since(HOURS, since_hour)))]

    def times(self, since_hour: int) -> list[TimeCount]:
        """The times of all days, that of the first hour as a whole."""
        c = TIMES.c
        columns = (c.region, c.verified, c.check, (c.hour // 24).label("day"), c.limit_ms, c.size, c.count)
        since = self._since(TIMES, since_hour - since_hour % 24)
        return [TimeCount(*row) for row in self._rows(sa.select(*columns).where(*since))]

    def versions(self, since_hour: int) -> list[SeenVersion]:
        """The versions of all hours."""
        c = SEEN_VERSIONS.c
        columns = (c.check, c.hour, c.version, c.first_at)
        return [
            SeenVersion(*row) for row in self._rows(sa.select(*columns).where(*self._since(SEEN_VERSIONS, since_hour)))
        ]

    def budget(self, since: float) -> dict[int, float]:
        """For each day since the epoch (UTC) the most that any run has used of a limit, in per cent of the limit."""
        day = sa.cast(sa.func.floor(RUNS.c.at / 86400), sa.Integer).label("day")
        used = sa.select(day, sa.func.max(RUNS.c.budget_percent)).where(
            RUNS.c.target == self._target, RUNS.c.at >= since, RUNS.c.budget_percent.is_not(None)
        )
        return {row[0]: row[1] for row in self._rows(used.group_by(day))}

    def latest(self, cells: Mapping[Cell, int]) -> list[Latest]:
        """The newest verdict of each of these cells, of which it is known in what hour that was."""
        c = HISTORY.c
        found: list[Latest] = []
        with self._database.transaction(writes=False) as connection:
            for (region, verified, check), hour in cells.items():
                newest = (
                    sa.select(c.at, c.outcome, c.version, c.certificate_days)
                    .where(c.target == self._target, c.region == region, c.check == check, c.verified == verified)
                    .where(c.at >= hour * HOUR_S, c.at < (hour + 1) * HOUR_S, c.outcome != NO_DATA)
                    .order_by(c.at.desc())
                    .limit(1)
                )
                found += [Latest(region, verified, check, *row) for row in connection.execute(newest)]
        return found

    def failures(self, since: float) -> list[Failure]:
        """The newest failed verdicts of regions that may speak of the target, oldest first."""
        c = HISTORY.c
        failed = (
            sa.select(c.region, c.verified, c.check, c.at, c.reason)
            # in these words, or SQLite does not see that its index of what failed will do
            .where(sa.text("outcome = 'failed'"), c.target == self._target, c.at >= since)
            .where(sa.or_(c.verified, c.region == LOCAL))
            .order_by(c.at.desc())
            .limit(MOST_FAILED)
            .subquery()
        )
        before, after = (self._right(failed, later=later) for later in (False, True))
        columns = (failed.c.region, failed.c.check, failed.c.at, failed.c.reason, before, after)
        return [Failure(*row) for row in self._rows(sa.select(*columns).order_by(failed.c.at))]

    def _right(self, failed: sa.Subquery, *, later: bool) -> sa.ColumnElement[float | None]:
        """When the check was right nearest to a failure: one look into the index for each way to be right."""
        passed, degraded = (self._nearest(failed, outcome, later=later) for outcome in ("passed", "degraded"))
        nearer = passed < degraded if later else passed > degraded
        return sa.case((sa.and_(passed.is_not(None), sa.or_(degraded.is_(None), nearer)), passed), else_=degraded)

    def _nearest(self, failed: sa.Subquery, outcome: str, *, later: bool) -> sa.ScalarSelect[float]:
        c = HISTORY.alias().c
        order = c.at if later else c.at.desc()
        beyond = c.at > failed.c.at if later else c.at < failed.c.at
        cell = (c.region == failed.c.region, c.check == failed.c.check, c.verified == failed.c.verified)
        mine = sa.select(c.at).where(c.target == self._target, *cell, c.outcome == outcome, beyond)
        return mine.order_by(order).limit(1).correlate(failed).scalar_subquery()

    def _since(self, table: sa.FromClause, hour: int) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        return table.c.target == self._target, table.c.hour >= hour

    def _rows(self, statement: sa.Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        with self._database.transaction(writes=False) as connection:
            return [tuple(row) for row in connection.execute(statement)]
