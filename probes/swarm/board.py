"""What a master, or a run, knows of each region and check: the last verdict, the last runs, why there is no data."""

from __future__ import annotations

import datetime as dt
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from probes.model import LimitUse, Outcome, Verdict
from probes.quorum import Heard, quorum
from probes.store.record import NO_DATA, Record

RUNS_KEPT = 30

AHEAD_S = 60.0
"""What is remembered of a time so far ahead is of nobody knows when, a clock was set back: it speaks for no region."""


class RunSeen(TypedDict):
    """One of a cell's last runs; its duration in seconds, None where it did not come to a verdict."""

    at: str
    outcome: str
    duration_s: float | None
    detail: str


class CellSeen(TypedDict):
    """A check in a region; ages and durations in seconds, None where there is no verdict."""

    region: str
    verified: bool  # whether anything bore the region out as the last verdict came
    check: str
    outcome: str
    age_s: float | None
    duration_s: float | None
    reason: str
    runs: list[RunSeen]


class QuorumSeen(TypedDict):
    """How many verified regions have judged a check lately, and in how many of them it has failed."""

    check: str
    regions: int
    failed: int


class WorkerSeen(TypedDict):
    """A worker of a master."""

    client: str
    region: str
    verified: bool
    heard_s: float
    ticks: list[str]


class UnderWaySeen(TypedDict):
    """A check that runs, or waits: for its turn, for room, or for a worker."""

    region: str
    check: str
    runs: bool


class LimitSeen(TypedDict):
    """How much of a limit was used in its worst window."""

    name: str
    limit: int
    window_s: float
    ceiling: float
    peak: int
    peak_percent: float


class OwnHealth(TypedDict):
    """How a master itself is. `ledger` and `store` say what is wrong with them, and are empty where nothing is."""

    turned_s: float  # age of the loop's last turn
    unacknowledged: int  # messages that no worker has acknowledged yet
    unwritten: int  # results that the store has not taken yet
    lost: int  # results that it never will
    ledger: str
    store: str


class Snapshot(TypedDict):
    """All that a master, or a run, knows at a moment, as JSON-able values; redacted, and strangers' names cut."""

    region: str
    target: str
    cells: list[CellSeen]
    quorums: list[QuorumSeen]
    workers: list[WorkerSeen]
    ticks_under_way: int
    under_way: list[UnderWaySeen]
    rejected: dict[str, dict[str, int]]
    limits: list[LimitSeen]
    paused: str
    trouble: str
    own_health: OwnHealth
    sinks: dict[str, dict[str, int]]  # of each monitoring service: samples sent, spooled, dropped


def limit_seen(use: LimitUse) -> LimitSeen:
    """A limit's use as a snapshot has it."""
    return {
        "name": use.name,
        "limit": use.limit,
        "window_s": use.window_s,
        "ceiling": use.ceiling,
        "peak": use.peak,
        "peak_percent": round(use.peak_percent, 3),
    }


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one occasion: `at` by the clock that the board is told, `time` by that of the day, for people."""

    at: float
    time: str
    outcome: str
    reason: str
    verified: bool = False
    duration_s: float | None = None
    id: str = ""


@dataclass(slots=True)
class Cell:
    """A check in a region. `no_data` says why there is nothing newer than `verdict`, or nothing."""

    region: str
    check: str
    verdict: Run | None = None
    no_data: str = "nothing yet"
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=RUNS_KEPT))


class Board:
    """All cells, by region and check."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], Cell] = {}

    def add_region(self, region: str, checks: Iterable[str]) -> None:
        """Show these checks in a region, whether anything is known of them or not."""
        for check in checks:
            self._cells.setdefault((region, check), Cell(region, check))

    def judged(self, region: str, verdict: Verdict, now: float, *, verified: bool = False, id_: str = "") -> None:
        """A verdict has come; it is redacted already."""
        cell = self._cell(region, verdict.check)
        reason = str(verdict.reason or "")
        run = Run(now, _iso(time.time()), str(verdict.outcome), reason, verified, verdict.duration_s, id_)
        cell.verdict, cell.no_data = run, ""
        cell.runs.append(run)

    def not_judged(self, region: str, check: str, why: str) -> None:
        """An occasion has passed without a verdict."""
        cell = self._cell(region, check)
        cell.no_data = why
        cell.runs.append(Run(0.0, _iso(time.time()), NO_DATA, why))

    def recall(self, records: Iterable[Record], now: float) -> None:
        """Put what is remembered, the oldest first, before whatever has come meanwhile."""
        today = time.time()
        remembered: dict[tuple[str, str], list[Run]] = {}
        for record in records:
            remembered.setdefault((record.region, record.check), []).append(_run_of(record, now, today))
        for (region, check), runs in remembered.items():
            cell = self._cell(region, check)
            come = {run.id for run in cell.runs}
            before = [run for run in runs if run.id not in come]
            if before and not cell.runs:
                cell.no_data = before[-1].reason if before[-1].outcome == NO_DATA else ""
            if cell.verdict is None:
                cell.verdict = next((run for run in reversed(before) if run.outcome != NO_DATA), None)
            cell.runs = deque([*before, *cell.runs], maxlen=RUNS_KEPT)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, region by region in the order in which they were added."""
        return tuple(self._cells.values())

    def to_json(self, now: float) -> list[CellSeen]:
        """As JSON-able values: for each cell its outcome, its age in seconds, its reason and its last runs."""
        return [
            {
                "region": cell.region,
                "verified": cell.verdict is not None and cell.verdict.verified,
                "check": cell.check,
                "outcome": cell.verdict.outcome if cell.verdict and not cell.no_data else NO_DATA,
                "age_s": round(now - cell.verdict.at, 1) if cell.verdict else None,
                "duration_s": _rounded(cell.verdict.duration_s) if cell.verdict else None,
                "reason": cell.no_data or (cell.verdict.reason if cell.verdict else ""),
                "runs": [_shown(run) for run in cell.runs],
            }
            for cell in self.cells
        ]

    def quorums(self, recent_s: Mapping[str, float], now: float) -> list[QuorumSeen]:
        """For each check, how many regions may speak of it; `recent_s` says for how long what it judged counts."""
        found: list[QuorumSeen] = []
        for check, seconds in recent_s.items():
            heard = [
                Heard(cell.region, run.verified, run.outcome, now - run.at)
                for cell in self.cells
                if cell.check == check
                for run in cell.runs
            ]
            counted = quorum(heard, seconds)
            found.append({"check": check, "regions": len(counted.regions), "failed": len(counted.failed)})
        return found

    def _cell(self, region: str, check: str) -> Cell:
        return self._cells.setdefault((region, check), Cell(region, check))


def _run_of(record: Record, now: float, today: float) -> Run:
    at = now - max(0.0, today - record.at)  # whose clock may be ahead of ours
    verified = record.verified and record.at < today + AHEAD_S
    return Run(at, _iso(record.at), record.outcome, record.reason, verified, record.duration_s, record.id)


def _shown(run: Run) -> RunSeen:
    detail = "" if run.outcome == Outcome.PASSED else run.reason
    return {"at": run.time, "outcome": run.outcome, "duration_s": _rounded(run.duration_s), "detail": detail}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _iso(time_s: float) -> str:
    """A time of day for people; empty where no calendar has it."""
    try:
        return dt.datetime.fromtimestamp(time_s, dt.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""
