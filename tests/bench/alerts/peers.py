"""What others would tell of the same passes, in a few lines each. Of several alerts at one time people hear once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from probes.model import Outcome
from tests.bench.alerts.looks import Look
from tests.bench.alerts.timeline import Grid, Timeline


@dataclass(frozen=True, slots=True)
class Told:
    """An incident: people hear of it when it begins, and when it is over."""

    begins: float
    ends: float


def first_failure(timeline: Timeline) -> list[Told]:
    """Whoever tells of the first failed verdict of any check in any region."""
    return _in_a_row(timeline, 1, timeline.grids, lambda look: look.outcome is Outcome.FAILED)


def three_in_a_row(timeline: Timeline) -> list[Told]:
    """Whoever waits for the third failed verdict in a row of a check in a region."""
    return _in_a_row(timeline, 3, timeline.grids, lambda look: look.outcome is Outcome.FAILED)


def datadog_defaults(timeline: Timeline) -> list[Told]:
    """A synthetic test of Datadog as it comes: one location, no retry, an alert at once. Slowness does not count."""
    here = [grid for grid in timeline.grids if grid.region == timeline.grids[0].region]
    return _in_a_row(timeline, 1, here, lambda look: look.first_failed)


PEERS: Mapping[str, Callable[[Timeline], list[Told]]] = {
    "alert on first failure": first_failure,
    "3 in a row": three_in_a_row,
    "Datadog's defaults": datadog_defaults,
}


def _in_a_row(timeline: Timeline, failures: int, grids: Iterable[Grid], bad: Callable[[Look], bool]) -> list[Told]:
    """Incidents of all checks together; each check's begins with so many failures in a row, and ends with a pass."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for (region, check, number), look in timeline.notable.items():
        if bad(look):
            numbers.setdefault((region, check), []).append(number)
    found = []
    for grid in grids:
        here = grid.region, grid.shape.check
        for first, last in _rows(sorted(numbers.get(here, ()))):
            if last - first + 1 >= failures:
                begins = timeline.notable[*here, first + failures - 1].ended
                after = timeline.notable.get((*here, last + 1)) or grid.good(last + 1)
                found.append(Told(begins, after.ended))
    return joined(found)


def _rows(numbers: list[int]) -> list[tuple[int, int]]:
    rows: list[tuple[int, int]] = []
    for number in numbers:
        if rows and number == rows[-1][1] + 1:
            rows[-1] = (rows[-1][0], number)
        else:
            rows.append((number, number))
    return rows


def joined(told: Iterable[Told]) -> list[Told]:
    """Those that overlap as one."""
    found: list[Told] = []
    for each in sorted(told, key=lambda told: told.begins):
        if found and each.begins <= found[-1].ends:
            found[-1] = Told(found[-1].begins, max(found[-1].ends, each.ends))
        else:
            found.append(each)
    return found
