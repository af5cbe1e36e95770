"""What a rendered monitor says to samples: of each service's language as much as our monitors use, read anew.

All samples are of one window. None of the code that renders is used here.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """One sample of a metric."""

    region: str
    check: str
    value: float
    env: str = "here"
    metric: str = "smoke_test.success"
    service: str = "shop"


def clamp_min(value: float, limit: float) -> float:
    return max(value, limit)


def clamp_max(value: float, limit: float) -> float:
    return min(value, limit)


# New Relic


def newrelic_value(body: Mapping[str, Any], given: Iterable[Given]) -> float | None:
    """What the condition's query comes to; None where no event is left of which it could be made."""
    match = re.fullmatch(r"SELECT (.*) FROM SmokeTest WHERE `([a-z_.]+)` IS NOT NULL AND (.*)", body["nrql"]["query"])
    assert match, body["nrql"]["query"]
    selected, metric, where = match.groups()
    left = [one for one in given if one.metric == metric and _nrql_where(where)(one)]
    if not left:
        return None

    def aggregated(match: re.Match[str]) -> str:
        some = [one.value for one in left if _nrql_where(match[2])(one)]
        return repr(float(len(some)) if match[1] == "count(*)" else math.fsum(some))

    selected = selected.replace(f"`{metric}`", "value")
    plain = re.sub(r"filter\((count\(\*\)|sum\(value\)), WHERE ([^()]*)\)", aggregated, selected)
    return float(eval(plain, {"__builtins__": {}, "clamp_min": clamp_min, "clamp_max": clamp_max}))  # noqa: S307 - ours


def newrelic_fires(body: Mapping[str, Any], given: Iterable[Given]) -> bool:
    """Whether its only term is violated, or its signal lost where that is an incident."""
    value, (term,) = newrelic_value(body, given), body["terms"]
    if value is None:
        return bool(body["expiration"]["openViolationOnExpiration"])
    assert term["operator"] == "ABOVE"
    return value > float(term["threshold"])


def _nrql_where(text: str) -> Callable[[Given], bool]:
    conditions = [part.strip() for part in text.split(" AND ")]
    return lambda one: all(_nrql_holds(condition, one) for condition in conditions)


def _nrql_holds(condition: str, one: Given) -> bool:
    if match := re.fullmatch(r"`(\w+)` IN \((.*)\)", condition):
        return getattr(one, match[1]) in re.findall(r"'([^']*)'", match[2])
    if match := re.fullmatch(r"`(\w+)` = '([^']*)'", condition):
        return bool(getattr(one, match[1]) == match[2])
    match = re.fullmatch(r"value (<=?|>=?) ([-0-9.e+]+)", condition)
    assert match, condition
    return COMPARED[match[1]](one.value, float(match[2]))


# Datadog


class Grouped:
    """Values by group; a group without a value is not there."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = dict(values)

    def _with(self, other: Any, apply: Callable[[float, float], float]) -> Grouped:
        if isinstance(other, Grouped):
            both = self.values.keys() & other.values.keys()
            return Grouped({key: apply(self.values[key], other.values[key]) for key in both})
        return Grouped({key: apply(value, other) for key, value in self.values.items()})

    def __add__(self, other: Any) -> Grouped:
        return self._with(other, operator.add)

    def __truediv__(self, other: Any) -> Grouped:
        return self._with(other, operator.truediv)

    def __rmul__(self, other: float) -> Grouped:
        return self._with(other, operator.mul)


_QUERY = re.compile(
    r"(sum|min|max):([a-z_.]+)\{([^{}]*)\} by \{region\}"
    r"\.rollup\((sum|count|min|max), (\d+)\)\.fill\((zero|last, \d+)\)"
)
_OVER: Mapping[str, Callable[[Sequence[float]], float]] = {"sum": math.fsum, "min": min, "max": max, "count": len}


def datadog_value(query: str, given: Iterable[Given]) -> float:
    """What a monitor's query comes to, as if its window were one minute; compared with nothing."""
    every = list(given)

    def asked(match: re.Match[str]) -> str:
        over_checks, metric, places, of_minute, _, filled = match.groups()
        assert (filled == "zero") == (over_checks != "min")
        found: dict[str, list[float]] = {}
        for one in every:
            if one.metric == metric and all(_dd_holds(part, one) for part in places.split(" AND ")):
                found.setdefault(one.region, []).append(one.value)
        return repr({region: float(_OVER[of_minute](values)) for region, values in found.items()})

    text, count = _QUERY.subn(asked, query)
    assert count, query
    text = re.sub(r"moving_rollup\((\{[^{}]*\}), \d+, '(\w+)'\)", r"Grouped(\1)", text)
    names = {
        "__builtins__": {}, "Grouped": Grouped, "clamp_min": clamp_min, "clamp_max": clamp_max,
        "cutoff_min": lambda of, limit: Grouped({k: v for k, v in of.values.items() if v >= limit}),
        "cutoff_max": lambda of, limit: Grouped({k: v for k, v in of.values.items() if v <= limit}),
        "count_not_null": lambda of: float(len(of.values)), "default_zero": lambda value: value,
    }  # fmt: skip
    return float(eval(text, names))  # noqa: S307 - ours


_ON_MISSING_DATA = {"resolve": False, "show_and_notify_no_data": True}
"""Whether somebody is told where an evaluation has no point at all. By default the last state would stay."""


def datadog_fires(body: Mapping[str, Any], given: Iterable[Given]) -> bool:
    """Whether the monitor's condition holds. Of nothing Datadog may make zeros or no point: both are one."""
    match = re.fullmatch(r"max\(last_\d+m\):(.*) (>=|<) ([0-9.]+)", body["query"])
    assert match, body["query"]
    assert float(match[3]) == body["options"]["thresholds"]["critical"]
    every = list(given)
    fires = COMPARED[match[2]](datadog_value(match[1], every), float(match[3]))
    if not every:
        assert _ON_MISSING_DATA[body["options"]["on_missing_data"]] is fires
    return fires


def _dd_holds(condition: str, one: Given) -> bool:
    if match := re.fullmatch(r"(\w+) IN \((.*)\)", condition):
        return getattr(one, match[1]) in match[2].split(",")
    key, value = condition.split(":")
    return bool(getattr(one, key) == value)


# CloudWatch

_COMPARISONS = {
    "LessThanThreshold": "<", "LessThanOrEqualToThreshold": "<=", "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": ">=",
}  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "AVG": lambda values: math.fsum(values) / len(values), "SUM": math.fsum, "MIN": min, "MAX": max, "COUNT": len,
}  # fmt: skip


def cloudwatch_state(alarm: Mapping[str, Any], given: Iterable[Given]) -> str:
    """The state of an alarm on one query."""
    properties = alarm["Properties"]
    (metric,) = properties["Metrics"]
    match = re.fullmatch(r'SELECT (\w+)\("([^"]+)"\) FROM "[^"]+" WHERE (.*)', metric["Expression"])
    assert match, metric
    parts = match[3].split(" AND ")
    values = [one.value for one in given if one.metric == match[2] and all(_cw_holds(part, one) for part in parts)]
    if not values:
        assert properties["TreatMissingData"] == "notBreaching"
        return "OK"
    holds = COMPARED[_COMPARISONS[properties["ComparisonOperator"]]]
    return "ALARM" if holds(_FUNCTIONS[match[1]](values), properties["Threshold"]) else "OK"


def _cw_holds(condition: str, one: Given) -> bool:
    match = re.fullmatch(r"\"?(\w+)\"? (=|!=) '([^']*)'", condition)
    assert match, condition
    return (getattr(one, match[1]) == match[3]) is (match[2] == "=")


def cloudwatch_fires(resources: Mapping[str, Mapping[str, Any]], given: Iterable[Given]) -> bool:
    """Whether the only composite alarm among resources is on."""
    every = list(given)
    states = {name: cloudwatch_state(r, every) for name, r in resources.items() if r["Type"].endswith("::Alarm")}
    (composite,) = [r for r in resources.values() if r["Type"].endswith("CompositeAlarm")]
    rule: str = composite["Properties"]["AlarmRule"]["Fn::Sub"]
    plain = re.sub(r'(ALARM|OK)\("\$\{(\w+)\}"\)', lambda match: str(states[match[2]] == match[1]), rule)
    return bool(eval(plain.replace("AND", "and").replace("OR", "or"), {"__builtins__": {}}))  # noqa: S307 - ours
