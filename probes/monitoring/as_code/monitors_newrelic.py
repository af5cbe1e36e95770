"""New Relic: one NRQL condition a rule, whose query counts the regions in which the rule's condition holds.

Everything is made of counts and sums, which are zero and not nothing where there is no sample: a region that is silent
must not take away the others' word. A comparison is a difference, clamped to 0 or 1. The window slides by a minute.
"""

from __future__ import annotations

from typing import Any

from probes.config.alert_rules import Rule
from probes.config.conditions import Condition
from probes.config.monitoring import ServiceOptions
from probes.monitoring.as_code.wanted import Wanted
from probes.monitoring.as_code.watch import Monitors, Watch, channels, mails, number
from probes.monitoring.newrelic_names import EVENTS

LONGEST_WINDOW_S = 6 * 3600
LONGEST_QUERY = 4096
SLIDE_S = 60
LONGEST_INCIDENT_S = 30 * 86400
SHARP = "1e9"
"""By what a difference is multiplied before it is clamped: what is not zero is then one."""

_PRIORITIES = {"critical": "CRITICAL", "warning": "WARNING", "info": "WARNING"}


def monitors(watched: list[Watch], options: ServiceOptions) -> Monitors:
    """One condition for each rule; a policy has them all."""
    wanted, notes = [], []
    for watch in watched:
        body = _body(watch, options)
        if watch.window_s > LONGEST_WINDOW_S:
            notes.append(f"{watch.key}: New Relic looks back 6 h at most.")
        elif len(body["nrql"]["query"]) > LONGEST_QUERY:
            notes.append(f"{watch.key}: too many regions for one query of New Relic's.")
        else:
            wanted.append(Wanted("monitor", watch.key, watch.title, body))
            notes += _notes(watch)
    return Monitors(tuple(wanted), tuple(notes))


def _notes(watch: Watch) -> list[str]:
    found = []
    if watch.rule.recovery is not None:
        found.append(f"{watch.key}: New Relic has no recovery apart: it ends where the condition no longer holds.")
    if watch.rule.severity == "info":
        found.append(f"{watch.key}: New Relic knows critical and warning only: info is a warning there.")
    told = ", ".join([*mails(watch.rule), *(f"#{channel}" for channel in channels(watch.rule))])
    found.append(
        f"{watch.key}: a workflow of New Relic's is to tell {told}, made by hand: filter its issues by the condition's "
        f"name, “{watch.title}”."
    )
    return found


def _body(watch: Watch, options: ServiceOptions) -> dict[str, Any]:
    alert = watch.rule.no_data == "alert"
    return {
        "name": watch.title,
        "description": watch.text,
        "enabled": True,
        "nrql": {"query": _query(watch, options.prefix + watch.rule.metric)},
        "signal": {
            "aggregationWindow": watch.window_s,
            "aggregationMethod": "EVENT_TIMER",
            "aggregationTimer": 60,
            "fillOption": "NONE",
            **({"slideBy": SLIDE_S} if watch.window_s > SLIDE_S else {}),
        },
        "terms": [
            {
                "operator": "ABOVE",
                "threshold": watch.rule.quorum - 0.5,
                "thresholdDuration": watch.window_s,
                "thresholdOccurrences": "AT_LEAST_ONCE",
                "priority": _PRIORITIES[watch.rule.severity],
            }
        ],
        # where nothing at all comes, the query is not asked any more
        "expiration": {
            "expirationDuration": watch.window_s,
            "openViolationOnExpiration": alert,
            "closeViolationsOnExpiration": not alert,
        },
        "violationTimeLimitSeconds": LONGEST_INCIDENT_S,
    }


def _query(watch: Watch, metric: str) -> str:
    rule = watch.rule
    enough = {region: _reached(f"{_count(region)} - {rule.samples - 1}") for region in watch.regions}
    fires = " + ".join(f"{enough[region]} * {_holds(rule, metric, region)}" for region in watch.regions)
    counted = fires
    if rule.no_data == "alert":
        with_samples = " + ".join(enough.values())
        counted = f"{fires} + {rule.quorum} * (1 - {_reached(f'{with_samples} - {rule.quorum - 1}')})"
    named = [f"`{name}` = '{value}'" for name, value in (("env", watch.env), *watch.tags.items())]
    where = [f"`{metric}` IS NOT NULL", *named, f"`region` IN ({_quoted(watch.regions)})"]
    where.append(f"`check` IN ({_quoted(watch.checks)})")
    return f"SELECT {counted} FROM {EVENTS} WHERE {' AND '.join(where)}"  # noqa: S608 - NRQL of checked names


def _holds(rule: Rule, metric: str, region: str) -> str:
    """1 where the condition holds in a region, else 0."""
    condition, count = rule.condition, _count(region)

    def counted(of: Condition) -> str:
        return _count(region, f" AND `{metric}` {of.operator} {number(of.value)}")

    if rule.statistic in {"mean", "sum"}:
        limit = number(condition.value) + (f" * {count}" if rule.statistic == "mean" else "")
        total = f"filter(sum(`{metric}`), WHERE `region` = '{region}')"
        beyond = f"{total} - {limit}" if condition.upwards else f"{limit} - {total}"
        return _true(beyond, or_equal=len(condition.operator) == 2)
    if rule.percentile:
        most = f"{number((100 - rule.percentile) / 100)} * {count}"
        if condition.upwards:  # p95 > x: more than a twentieth of the samples is
            return _true(f"{counted(condition)} - {most}", or_equal=False)
        return _true(f"{most} - {counted(condition.negated)}", or_equal=True)
    if (rule.statistic == "max") == condition.upwards:  # one sample is enough
        return _true(counted(condition), or_equal=False)
    return _true(f"0 - {counted(condition.negated)}", or_equal=True)


def _true(difference: str, *, or_equal: bool) -> str:
    return _reached(f"({difference}) * {SHARP}{' + 1' if or_equal else ''}")


def _reached(difference: str) -> str:
    return f"clamp_max(clamp_min({difference}, 0), 1)"


def _count(region: str, of_these: str = "") -> str:
    return f"filter(count(*), WHERE `region` = '{region}'{of_these})"


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
