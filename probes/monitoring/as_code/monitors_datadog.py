"""Datadog: one monitor a rule, whose query counts the regions in which the rule's condition holds.

A region's samples are summed and counted by the minute, and these by a rolling window, so that all samples of the
window weigh the same, however many checks share it. A rolling window looks back beyond the monitor's own: a monitor of
5 minutes has the last 4 hours so in Datadog's guide "How to monitor non-static thresholds". Nowhere else is that said,
so the monitor's window is as long as the rule's, and has all of it in either case; of it the largest count is taken.
What remains is that an alert may last one window longer than the rule asks for.
"""

from __future__ import annotations

from typing import Any

from probes.config.conditions import Condition
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.as_code.watch import NONE, Monitors, Watch, channels, mails, number

MINUTELY_S = 4 * 3600
"""Up to so long a window Datadog keeps apart what came in each minute; beyond that, in each five."""

_PRIORITIES = {"critical": 1, "warning": 3, "info": 5}
_SPACE = {"mean": "sum", "sum": "sum", "min": "min", "max": "max"}
_IDLE = {"sum": "zero", "max": "zero"}
"""What stands where a minute has no sample: nothing of ours is below zero, so that changes neither sum nor maximum."""


def monitors(watched: list[Watch], options: ServiceOptions) -> Monitors:
    """One monitor for each rule."""
    wanted: list[Wanted] = []
    notes: list[str] = []
    for watch in watched:
        if watch.rule.percentile:
            notes.append(f"{watch.key}: Datadog has percentiles of distributions only: take mean or max.")
        else:
            wanted += _of_rule(watch, options)
    return Monitors(tuple(wanted), tuple(notes))


def _of_rule(watch: Watch, options: ServiceOptions) -> list[Wanted]:
    """The rule's monitor, and another one where it is an alert too that few regions have their samples.

    In one query they would be each other's trouble: while a rolling window fills, it has too few.
    """
    rule = watch.rule
    value, enough = _value(watch, options.prefix + rule.metric)
    fires = _regions(value, rule.condition)
    if rule.recovery is None:
        query, thresholds = f"{fires} >= {rule.quorum}", {"critical": float(rule.quorum)}
    else:  # 2 where the condition holds in a quorum, 1 where the recovery does not yet in enough
        lasts = _regions(value, rule.recovery.negated)
        query = f"{_reached(fires, rule.quorum)} + {_reached(lasts, rule.quorum)} >= 2"
        thresholds = {"critical": 2.0, "critical_recovery": 0.5}
    found = [Wanted("monitor", watch.key, watch.title, _body(watch, watch.title, query, thresholds))]
    if rule.no_data == "alert":
        title = f"{watch.title}, too few samples"
        query = f"default_zero(count_not_null({enough})) < {rule.quorum}"
        body = _body(watch, title, query, {"critical": float(rule.quorum)}, silent_too=True)
        found.append(Wanted("monitor", f"{watch.key}-no-data", title, body))
    return found


def _body(
    watch: Watch, title: str, query: str, thresholds: dict[str, float], *, silent_too: bool = False
) -> dict[str, Any]:
    return {
        "name": title,
        "type": "query alert",
        "query": f"max(last_{watch.window_s // 60}m):{query}",
        "message": f"{watch.text}\n\n{' '.join(_handles(watch))}",
        "tags": [f"env:{watch.env}", f"severity:{watch.rule.severity}"],
        "priority": _PRIORITIES[watch.rule.severity],
        "options": {
            "thresholds": thresholds,
            "on_missing_data": "show_and_notify_no_data" if silent_too else "resolve",  # by default its state stays
            "require_full_window": False,  # a check that runs once a minute fills none
            "include_tags": False,
            "notify_audit": False,
        },
    }


def _handles(watch: Watch) -> list[str]:
    return [f"@{mail}" for mail in mails(watch.rule)] + [f"@slack-{channel}" for channel in channels(watch.rule)]


def _reached(count: str, quorum: int) -> str:
    """1 where a count has reached the quorum, else 0."""
    return f"clamp_max(clamp_min({count} - {quorum - 1}, 0), 1)"


def _regions(value: str, condition: Condition) -> str:
    """In how many regions a condition holds."""
    strict = NONE * max(1.0, abs(condition.value)) if len(condition.operator) == 1 else 0.0
    if condition.upwards:
        kept = f"cutoff_min({value}, {number(condition.value + strict)})"
    else:
        kept = f"cutoff_max({value}, {number(condition.value - strict)})"
    return f"default_zero(count_not_null({kept}))"


def _value(watch: Watch, metric: str) -> tuple[str, str]:
    """Of each region the statistic, where there are samples enough, and the number of samples, where it is enough."""
    tags = "".join(f" AND {name}:{value}" for name, value in watch.tags.items())
    places = f"env:{watch.env}{tags} AND region IN ({','.join(watch.regions)}) AND check IN ({','.join(watch.checks)})"

    def rolling(of_minute: str, over_checks: str, filled: str) -> str:
        step = 60 if watch.window_s <= MINUTELY_S else 300
        query = f"{over_checks}:{metric}{{{places}}} by {{region}}.rollup({of_minute}, {step}).fill({filled})"
        return f"moving_rollup({query}, {watch.window_s}, '{over_checks}')"

    enough = f"cutoff_min({rolling('count', 'sum', 'zero')}, {watch.rule.samples})"
    over_checks = _SPACE[watch.rule.statistic]
    total = rolling(over_checks, over_checks, _IDLE.get(over_checks, f"last, {watch.window_s}"))
    if watch.rule.statistic == "mean":
        return f"{total} / {enough}", enough
    return f"{total} + 0 * {enough}", enough
