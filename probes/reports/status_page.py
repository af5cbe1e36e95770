"""The status page: what the history says of a target over 90 days, as one HTML file without script or network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from probes.files import write_atomically
from probes.model import LOCAL
from probes.reports.pages import templates
from probes.reports.status_charts import budget_chart, times_chart
from probes.reports.status_numbers import (
    DayTimes,
    Sums,
    day_times,
    days,
    deploys,
    incidents,
    of_cells,
    windows,
)
from probes.reports.wording import duration, milliseconds, times
from probes.store.status import Cell, Failure, HourSums, Latest, SeenVersion, TimeCount
from probes.store.sums import hour_of

MOST_SHOWN = 50
"""Incidents and changes of version: the newest."""

CEILING = 10.0
"""In per cent of a limit: what the probe stays below."""

RECENT_S = 86400.0
"""What was said longer ago is no word on how the target is now."""


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """All that a page is made from; `at` is its moment, in seconds since the epoch."""

    target: str
    env: str
    at: float
    hours: Sequence[HourSums]
    times: Sequence[TimeCount]
    failures: Sequence[Failure]
    versions: Sequence[SeenVersion]
    budget: Mapping[int, float]
    latest: Sequence[Latest]


@dataclass(frozen=True, slots=True)
class _Row:
    """A check in one region."""

    place: str
    windows: Mapping[str, Sums]
    days: Sequence[tuple[int, Sums]]
    times: Sequence[DayTimes]
    chart: str
    latest: Latest | None


@dataclass(frozen=True, slots=True)
class _Now:
    """How the target is now: an outcome, or `none` where nobody has judged it lately."""

    state: str
    title: str
    said: str


def write_status(path: Path, facts: StatusFacts) -> None:
    """Write the page to `path`.

    Raises:
        SmokeprobeError: the file cannot be written.
    """
    write_atomically(path, to_html(facts))


def to_html(facts: StatusFacts) -> str:
    """The page. Everything in it is escaped, so that nothing a target wrote becomes markup."""
    environment = templates()
    environment.filters.update(
        day=_day, moment=_moment, ms=milliseconds, percent=percent, span=span, iso=_iso, tip=_tip, duration=duration
    )
    today = int(facts.at // 86400)
    found = incidents(facts.failures)
    changed = deploys(facts.versions)
    return environment.get_template("status.html.j2").render(
        facts=facts,
        now=_now(facts.latest, facts.at),
        checks=_checks(facts, today),
        incidents=found[:MOST_SHOWN],
        more_incidents=len(found) - MOST_SHOWN,
        deploys=changed[:MOST_SHOWN],
        more_deploys=len(changed) - MOST_SHOWN,
        certificates=_certificates(facts.latest),
        budget=budget_chart(facts.budget, CEILING, today) if facts.budget else "",
        ceiling=CEILING,
    )


def _checks(facts: StatusFacts, today: int) -> dict[str, list[_Row]]:
    counts: dict[Cell, list[TimeCount]] = {}
    for each in facts.times:
        counts.setdefault((each.region, each.verified, each.check), []).append(each)
    latest = {(each.region, each.verified, each.check): each for each in facts.latest}
    found: dict[str, list[_Row]] = {}
    for cell, hours in sorted(of_cells(facts.hours).items(), key=lambda item: (item[0][2], item[0][0], not item[0][1])):
        region, verified, check = cell
        known = day_times(counts.get(cell, ()))
        chart = times_chart(known, today) if known else ""
        row = _Row(
            region if verified or region == LOCAL else f"{region} (unverified)",
            windows(hours, hour_of(facts.at)), days(hours, today), known, chart, latest.get(cell),
        )  # fmt: skip
        found.setdefault(check, []).append(row)
    return found


def _now(latest: Sequence[Latest], at: float) -> _Now:
    speaking = [each for each in latest if each.verified or each.region == LOCAL]
    recent = [each for each in speaking if at - each.at <= RECENT_S]
    judged = [each for each in recent if each.outcome in {"passed", "degraded", "failed"}]
    if not latest:
        return _Now("none", "No data", "Nothing has been written of this target in 90 days.")
    if not judged:
        return _Now("none", "Not known", "No check has been judged from a region that can be believed in 24 hours.")
    for outcome, title in (("failed", "Failing"), ("degraded", "Slow")):
        if bad := [each for each in judged if each.outcome == outcome]:
            where = ", ".join(sorted({f"{each.check} in {each.region}" for each in bad}))
            return _Now(outcome, title, f"By their newest verdicts: {where}.")
    blind = len(speaking) - len(judged)
    beside = f" {times(blind, 'check')} could not be judged, or not lately." if blind else ""
    return _Now("passed", "All is well", f"The newest verdict of {_all(judged)} has passed.{beside}")


def _all(judged: Sequence[Latest]) -> str:
    checks = len({each.check for each in judged})
    what = "the one check" if checks == 1 else f"each of {checks} checks"
    if len(judged) == checks:
        return what
    return f"{what} in each of {len(judged)} regions" if checks == 1 else f"{what} in each of its regions"


def _certificates(latest: Sequence[Latest]) -> float | None:
    """Days until the first certificate ends, as seen last."""
    return min((each.certificate_days for each in latest if each.certificate_days is not None), default=None)


def percent(value: float | None) -> str:
    """An availability: never rounded up to 100 while anything failed."""
    if value is None:
        return "no data"
    if value == 100:
        return "100 %"
    return f"{min(value, 99.99):.2f} %"


def span(seconds: float) -> str:
    """A length of time as a person says it: `40 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{hours // 24} d {hours % 24} h"


def _tip(day: tuple[int, Sums]) -> str:
    number, sums = day
    if not sums.judged:
        what = "not judged" if sums.blind + sums.silent else "no data"
    else:
        bad = [f"{count} {name}" for name, count in (("failed", sums.failed), ("slow", sums.degraded)) if count]
        what = f"{percent(sums.availability)} of {sums.judged}" + (f", {', '.join(bad)}" if bad else "")
    return f"{_day(number)}: {what}"


def _day(number: int) -> str:
    return dt.datetime.fromtimestamp(number * 86400, dt.UTC).strftime("%d %b")


def _moment(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M")


def _iso(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds")
