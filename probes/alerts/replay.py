"""A series of what was seen, and what would have been told when: for tuning rules, for simulations, for tests. Pure.

A series has one JSON object a line, in the order in which they were heard of:

    {"t": 60, "region": "eu-west-1", "check": "health", "outcome": "passed", "metrics": {"smoke_test.flaky": 1}}

`t` is in seconds, from wherever it likes; a region that only claims to be one is written with `-unverified`; `outcome`
is a verdict's, or `no data`, and what it says of success and the like need not be written; `metrics` has each metric's
value, or several, in the metric's own unit. One that looks at a failure again says of which in `confirms`, and that
one its own name in `id`. A line with `t` alone says that time has passed.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from probes.alerts.book import Book, decide
from probes.alerts.evaluate import Watching
from probes.alerts.group import Told, Where
from probes.alerts.seen import Seen, seen_in
from probes.alerts.state import CALM_WINDOWS
from probes.config.alert_rules import Rule
from probes.config.metrics import METRICS
from probes.config.mistakes import did_you_mean
from probes.config.units import shown
from probes.errors import ConfigError
from probes.model import Outcome
from probes.store.record import NO_DATA, Record

LARGEST = 1e15
"""Of a number there, on either side of nothing: what is larger no clock shows and no check measures."""

_KEYS = frozenset({"t", "region", "check", "outcome", "metrics", "reason", "id", "confirms"})
_OUTCOMES = frozenset({NO_DATA, *map(str, Outcome)})
MOST_MISTAKES = 20
"""Of a series so many mistakes are said."""


def replay(
    rules: Mapping[str, Rule], regions: Iterable[str], checks: Iterable[str], series: Iterable[Seen], env: str
) -> Iterator[Told]:
    """What would have been told. What was seen in no region says that time has passed until then."""
    watching = Watching(rules, regions, checks)
    where = Where(env, "")
    keys = (f"incident-{number}" for number in itertools.count(1))
    book = Book()
    for moment, at_once in itertools.groupby(series, key=lambda seen: seen.at):
        while book.looked_at is not None and (at := _next_look(book, rules, watching)) < moment:
            book, told = decide(book.at(at, math.inf), rules, watching, where, new_key=lambda: next(keys))
            yield from told
        if book.went_back(moment):
            watching.forget()
        for seen in at_once:
            watching.hear(seen, moment)
        book, told = decide(book.at(moment, math.inf), rules, watching, where, new_key=lambda: next(keys))
        yield from told


def _next_look(book: Book, rules: Mapping[str, Rule], watching: Watching) -> float:
    """When something can change though nothing is seen: never sooner than now, and later each time."""
    times = [watching.changes_at]
    for name, rule in rules.items():
        times.append(book.watched_from + rule.window)
        state = book.states[name]
        if state.good_since is not None:
            times.append(state.good_since + CALM_WINDOWS * rule.window)
        if rule.reminder is not None:
            times.extend(incident.told_at + rule.reminder for incident in book.incidents)
    return min((at for at in times if at > book.now), default=math.inf)


def read_series(lines: Iterable[str], name: str) -> Iterator[Seen]:
    """A series, line by line; empty lines are left out. Raises ConfigError with every mistake, at the end."""
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            read = _read(line)
        except ValueError as problem:
            problems.append(f"{name}:{number}: {problem}")
            if len(problems) == MOST_MISTAKES:
                break
            continue
        if not problems:
            yield read
    if problems:
        raise ConfigError(f"{name} is no series:", tuple(problems))


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as problem:
        raise ValueError(f"is no JSON: {problem.msg}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def _read(line: str) -> Seen:
    raw = _json(line)
    if not isinstance(raw, dict) or not _is_number(raw.get("t")):
        raise ValueError('is no line of a series: {"t": seconds, "region", "check", "outcome", "metrics": {...}}')
    at = float(raw["t"])
    if raw.keys() == {"t"}:
        return Seen(at, "", "", "", {})
    if unknown := sorted(raw.keys() - _KEYS):
        raise ValueError(f"{shown(unknown[0])} is no key of it{did_you_mean(unknown[0], _KEYS)}")
    for key in ("region", "check", "outcome"):
        if not isinstance(raw.get(key), str):
            raise ValueError(f"{key} must be a text")  # noqa: TRY004 - said with the line
    outcome = raw["outcome"]
    if outcome not in _OUTCOMES:
        raise ValueError(f"{shown(outcome)} is no outcome{did_you_mean(outcome, _OUTCOMES)}")
    for key in ("id", "confirms"):
        if not isinstance(raw.get(key, ""), str):
            raise ValueError(f"{key} must be a text")  # noqa: TRY004 - said with the line
    region = raw["region"]
    seen = seen_in(Record("", at, region, verified=True, check=raw["check"], outcome=outcome), verified=True)
    written = {metric: _values(metric, value) for metric, value in _metrics(raw.get("metrics", {})).items()}
    return replace(
        seen, values={**seen.values, **written}, reason=str(raw.get("reason", "")), id=raw.get("id", ""),
        confirms=raw.get("confirms", ""),
    )  # fmt: skip


def _metrics(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError("metrics must be a mapping of names to values")  # noqa: TRY004 - said with the line
    return raw


def _values(metric: str, raw: Any) -> tuple[float, ...]:
    if metric not in METRICS:
        raise ValueError(f"{shown(metric)} is no metric of ours{did_you_mean(metric, METRICS)}")
    values = raw if isinstance(raw, list) else [raw]
    if not values or not all(map(_is_number, values)):
        raise ValueError(f"{metric} must be a number, or a list of some")
    return tuple(map(float, values))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def as_series_line(seen: Seen) -> str:
    """What was seen, as one line of a series."""
    line: dict[str, Any] = {"t": seen.at, "region": seen.region, "check": seen.check, "outcome": seen.outcome}
    line["metrics"] = {metric: list(values) for metric, values in seen.values.items()}
    more = {"reason": seen.reason, "id": seen.id, "confirms": seen.confirms}
    return json.dumps(line | {name: text for name, text in more.items() if text})


def as_line(told: Told) -> str:
    """What was told, as one line of JSON."""
    notice = told.notice
    at = int(notice.at) if notice.at.is_integer() else notice.at
    rules = ", ".join(told.rules)
    return json.dumps({"t": at, "rule": rules, "change": notice.change, "channels": list(told.channels)})
