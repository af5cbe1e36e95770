"""What a master, or a run, knows of each region and check: the last verdict, the last runs, why there is no data."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypedDict

from probes.model import LimitUse, Outcome, Verdict

RUNS_KEPT = 30


class RunSeen(TypedDict):
    """One of a cell's last runs; its duration in seconds, None where it did not come to a verdict."""

    at: str
    outcome: str
    duration_s: float | None
    detail: str


class CellSeen(TypedDict):
    """A check in a region; ages and durations in seconds, None where there is no verdict."""

    region: str
    check: str
    outcome: str
    age_s: float | None
    duration_s: float | None
    reason: str
    runs: list[RunSeen]


class WorkerSeen(TypedDict):
    """A worker of a master."""

    client: str
    region: str
    verified: bool
    heard_s: float
    ticks: list[str]


class LimitSeen(TypedDict):
    """How much of a limit was used in its worst window."""

    name: str
    limit: int
    window_s: float
    ceiling: float
    peak: int
    peak_percent: float


class Snapshot(TypedDict):
    """All that a master, or a run, knows at a moment, as JSON-able values; redacted, and strangers' names cut."""

    region: str
    target: str
    cells: list[CellSeen]
    workers: list[WorkerSeen]
    ticks_under_way: int
    rejected: dict[str, dict[str, int]]
    limits: list[LimitSeen]
    paused: str
    trouble: str


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
    """One verdict, or `no data` where none came, as it is shown among the last runs."""

    at: str
    outcome: str
    duration_s: float | None
    detail: str


@dataclass(slots=True)
class Cell:
    """A check in a region. `no_data` says why there is nothing newer than `verdict`, or nothing."""

    region: str
    check: str
    verdict: Verdict | None = None
    at: float = 0.0  # when it came, by the clock that the board is told
    no_data: str = ""
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=RUNS_KEPT))


class Board:
    """All cells, by region and check."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], Cell] = {}

    def add_region(self, region: str, checks: Iterable[str]) -> None:
        """Show these checks in a region, whether anything is known of them or not."""
        for check in checks:
            self._cells.setdefault((region, check), Cell(region, check, no_data="nothing yet"))

    def judged(self, region: str, verdict: Verdict, now: float) -> None:
        """A verdict has come; it is redacted already."""
        cell = self._cell(region, verdict.check)
        cell.verdict, cell.at, cell.no_data = verdict, now, ""
        reason = "" if verdict.outcome is Outcome.PASSED or verdict.reason is None else str(verdict.reason)
        cell.runs.append(Run(_now(), str(verdict.outcome), round(verdict.duration_s, 3), reason))

    def not_judged(self, region: str, check: str, why: str) -> None:
        """An occasion has passed without a verdict."""
        cell = self._cell(region, check)
        cell.no_data = why
        cell.runs.append(Run(_now(), "no data", None, why))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, region by region in the order in which they were added."""
        return tuple(self._cells.values())

    def to_json(self, now: float) -> list[CellSeen]:
        """As JSON-able values: for each cell its outcome, its age in seconds, its reason and its last runs."""
        return [
            {
                "region": cell.region,
                "check": cell.check,
                "outcome": "no data" if cell.no_data else str(cell.verdict.outcome if cell.verdict else "no data"),
                "age_s": round(now - cell.at, 1) if cell.verdict else None,
                "duration_s": round(cell.verdict.duration_s, 3) if cell.verdict else None,
                "reason": cell.no_data or (str(cell.verdict.reason or "") if cell.verdict else ""),
                "runs": [_run_seen(run) for run in cell.runs],
            }
            for cell in self.cells
        ]

    def _cell(self, region: str, check: str) -> Cell:
        return self._cells.setdefault((region, check), Cell(region, check))


def _run_seen(run: Run) -> RunSeen:
    return {"at": run.at, "outcome": run.outcome, "duration_s": run.duration_s, "detail": run.detail}


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
