"""One rule means the same in every service: as it reads there, and as it judges samples."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes.config.alert_rules import EVALUATORS, Evaluator, Rule
from probes.monitoring.as_code.wanted import Wanted, logical_id
from tests.monitoring.alert_languages import (
    COMPARED,
    Given,
    cloudwatch_fires,
    datadog_fires,
    datadog_value,
    newrelic_fires,
)
from tests.monitoring.alert_sample import REGIONS, monitor, rendered, rule

Fires = Callable[[Iterable[Given]], bool]


def fires_in(service: str, folder: Path, **changes: Any) -> Fires:
    """What a service makes of samples under one rule."""
    if service == "newrelic":
        body = monitor("newrelic", folder, **changes).body
        return lambda samples: newrelic_fires(body, samples)
    wanted = rendered("datadog" if service == "datadog" else "cloudwatch", folder, **changes).wanted
    if service == "datadog":
        return lambda samples: any(datadog_fires(one.body, samples) for one in wanted)
    resources = {logical_id(one.kind, one.key): one.body for one in wanted if one.kind == "monitor"}
    return lambda samples: cloudwatch_fires(resources, samples)


def meant(of: Rule, samples: Iterable[Given]) -> bool:
    """What the rule says, in as few words as can be."""
    checks = of.checks or ("front", "back")
    said: dict[str, list[float]] = {region: [] for region in REGIONS}
    for one in samples:
        here = (one.env, one.metric, one.service) == ("here", of.metric, "shop")
        if here and one.region in said and one.check in checks:
            said[one.region].append(one.value)
    enough = [values for values in said.values() if len(values) >= of.samples]
    holds = COMPARED[of.condition.operator]
    beyond = [values for values in enough if holds(statistic(of, values), of.condition.value)]
    return len(beyond) >= of.quorum or (of.no_data == "alert" and len(enough) < of.quorum)


def statistic(of: Rule, values: list[float]) -> float:
    if of.percentile:
        return sorted(values)[math.ceil(of.percentile * len(values) / 100) - 1]  # the nearest rank
    known: Mapping[str, Callable[[list[float]], float]] = {
        "mean": lambda some: math.fsum(some) / len(some), "sum": math.fsum, "min": min, "max": max,
    }  # fmt: skip
    return known[of.statistic](values)


def of_region(region: str, *values: float, check: str = "front", **others: str) -> list[Given]:
    return [Given(region, check, value, **others) for value in values]


US, WEST, EU = REGIONS
BAD, GOOD = (1.0, 0.0, 1.0), (1.0, 1.0, 1.0)


@pytest.mark.parametrize("service", ["datadog", "newrelic", "cloudwatch"])
@pytest.mark.parametrize(
    ("samples", "changes", "fires"),
    [
        pytest.param([*of_region(US, *BAD), *of_region(EU, *BAD)], {}, True, id="two regions"),
        pytest.param([*of_region(US, *BAD), *of_region(EU, *GOOD)], {}, False, id="one region"),
        pytest.param([*of_region(US, *BAD), *of_region(EU, *BAD)], {"quorum": 3}, False, id="three are asked for"),
        pytest.param([*of_region(US, *BAD)], {"quorum": 1}, True, id="one is enough"),
        pytest.param(
            [*of_region(US, *BAD), *of_region("eu-west-1-unverified", *BAD)], {}, False, id="a claim does not count"
        ),
        pytest.param([*of_region(US, *BAD), *of_region(EU, 0.0, 0.0)], {}, False, id="too few samples"),
        pytest.param(
            [*of_region(US, *BAD), *of_region(EU, 0.0, 0.0), *of_region(EU, 1.0, check="back")], {}, True,
            id="checks together",
        ),
        pytest.param(
            [*of_region(US, *BAD), *of_region(EU, *BAD, check="back")], {"checks": ["front"]}, False,
            id="its checks only",
        ),
        pytest.param(
            [*of_region(US, *BAD, check="_run"), *of_region(EU, *BAD, check="_run")], {}, False, id="no whole runs"
        ),
        pytest.param(
            [*of_region(US, *BAD, env="there"), *of_region(EU, *BAD, env="there")], {}, False, id="its environment only"
        ),
        pytest.param(
            [*of_region(US, *BAD, service="b"), *of_region(EU, *BAD, service="b")], {}, False, id="its product only"
        ),
        pytest.param([], {}, False, id="nothing"),
        pytest.param([], {"no_data": "alert"}, True, id="nothing, which is an alert"),
        pytest.param([*of_region(US, *GOOD)], {"no_data": "alert"}, True, id="one region left"),
        pytest.param([*of_region(US, *GOOD), *of_region(EU, *GOOD)], {"no_data": "alert"}, False, id="two left"),
        pytest.param(
            [*of_region(US, *9 * [1.0], 0.0), *of_region(EU, *9 * [1.0], 0.0)], {}, False, id="exactly at the limit"
        ),
        pytest.param(
            [*of_region(US, *9 * [1.0], 0.0), *of_region(EU, *9 * [1.0], 0.0)], {"condition": "<= 0.9"}, True,
            id="at most the limit",
        ),
    ],
)  # fmt: skip
def test_it_fires_where_a_quorum_says_so(
    tmp_path: Path, service: str, samples: list[Given], changes: dict[str, Any], fires: bool
) -> None:
    assert meant(rule(**changes), samples) is fires
    assert fires_in(service, tmp_path, **changes)(samples) is fires


_VALUES = st.sampled_from([0.0, 1.0, 0.5, 2.0, 10.0, 499.0, 500.0, 501.0])
_SAMPLES = st.lists(
    st.builds(
        Given,
        st.sampled_from([*REGIONS, "us-east-1-unverified"]),
        st.sampled_from(["front", "back", "_run"]),
        _VALUES,
    ),
    max_size=60,
)
_STATISTICS: Mapping[str, tuple[str, ...]] = {
    "datadog": ("mean", "sum", "min", "max"),
    "newrelic": ("mean", "sum", "min", "max", "p50", "p95"),
    "cloudwatch": ("mean", "sum", "min", "max"),
}


@pytest.mark.parametrize("service", _STATISTICS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), samples=_SAMPLES)
def test_any_rule_judges_any_samples_as_it_is_meant(
    tmp_path: Path, service: str, data: st.DataObject, samples: list[Given]
) -> None:
    changes = {
        "statistic": data.draw(st.sampled_from(_STATISTICS[service])),
        "condition": f"{data.draw(st.sampled_from(['<', '<=', '>', '>=']))} {data.draw(_VALUES):g}",
        "samples": data.draw(st.integers(2, 5)),
        "quorum": data.draw(st.integers(1, 3)),
        "checks": data.draw(st.sampled_from([[], ["front"], ["front", "back"]])),
        "no_data": data.draw(st.sampled_from(["ok", "alert"])),
    }
    assert fires_in(service, tmp_path, **changes)(samples) is meant(rule(**changes), samples)


def _numbers(text: str, pattern: str) -> set[float]:
    return {float(found) for found in re.findall(pattern, text)}


def _groups(text: str, pattern: str) -> tuple[str | None, ...]:
    match = re.search(pattern, text)
    assert match, text
    return match.groups()


def read_datadog(wanted: tuple[Wanted, ...]) -> tuple[Any, ...]:
    (one,) = wanted
    query: str = one.body["query"]
    (minutes,) = _numbers(query, r"last_(\d+)m")
    assert _numbers(query, r"\), (\d+), 'sum'\)") == {60 * minutes}
    side, limit = _groups(query, r"cutoff_(min|max)\(moving.*, ([0-9.]+)\)\)\) >=")
    (regions,) = set(re.findall(r"region IN \(([^)]*)\)", query))
    (samples,) = _numbers(query, r"cutoff_min\(moving_rollup\([^']*'sum'\), (\d+)\)")
    (quorum,) = _numbers(query, r">= (\d+)$")
    operator = ">" if side == "min" else "<"
    return 60 * minutes, operator, round(float(limit or ""), 5), set(regions.split(",")), samples, quorum


def read_newrelic(wanted: tuple[Wanted, ...]) -> tuple[Any, ...]:
    (one,) = wanted
    query: str = one.body["nrql"]["query"]
    (term,) = one.body["terms"]
    (named,) = _groups(query, r"`region` IN \(([^)]*)\)")
    regions = set(re.findall(r"'([^']*)'", named or ""))
    assert set(re.findall(r"`region` = '([^']*)'", query)) == regions
    (samples,) = _numbers(query, r"\) - (\d+), 0\), 1\) \*")
    side, limit = _groups(query, r"\(\((?:filter\(sum.*?'\) (-) )?([0-9.]+) \*")
    operator = ">" if side else "<"
    quorum = term["threshold"] + 0.5
    return one.body["signal"]["aggregationWindow"], operator, float(limit or ""), regions, samples + 1, quorum


def read_cloudwatch(wanted: tuple[Wanted, ...]) -> tuple[Any, ...]:
    alarms = [one.body["Properties"] for one in wanted if one.body["Type"] == "AWS::CloudWatch::Alarm"]
    (composite,) = [one.body["Properties"] for one in wanted if one.body["Type"].endswith("CompositeAlarm")]
    (window,) = {alarm["Metrics"][0]["Period"] * alarm["EvaluationPeriods"] for alarm in alarms}
    counting = [alarm for alarm in alarms if "COUNT(" in alarm["Metrics"][0]["Expression"]]
    (samples,) = {alarm["Threshold"] for alarm in counting}
    judging = [alarm for alarm in alarms if alarm not in counting]
    ((name, limit),) = {(alarm["ComparisonOperator"], alarm["Threshold"]) for alarm in judging}
    regions = {_groups(a["Metrics"][0]["Expression"], r"region\" = '([^']*)'")[0] for a in judging}
    (in_each,) = {part.count("ALARM(") / 2 for part in composite["AlarmRule"]["Fn::Sub"].split(" OR ")}
    operator = {"LessThanThreshold": "<", "GreaterThanThreshold": ">"}[name]
    return window, operator, limit, regions, samples, in_each


def read_prometheus(wanted: tuple[Wanted, ...]) -> tuple[Any, ...]:
    (one,) = wanted
    record, alert = one.body["rules"]
    (minutes,) = _numbers(alert["expr"], r"\[(\d+)m\]")
    operator, limit = _groups(alert["expr"], r" (<|>) ([0-9.]+)\)")
    (regions,) = set(re.findall(r'region=~"([^"]*)"', record["expr"]))
    (samples,) = _numbers(alert["expr"], r">= (\d+)\)\)")
    (quorum,) = _numbers(alert["expr"], r">= (\d+)$")
    return 60 * minutes, operator, float(limit or ""), set(regions.split("|")), samples, quorum


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (300, "<", 0.9, set(REGIONS), 3, 2)),
        ({"window": "1h", "quorum": 3, "samples": 7}, (3600, "<", 0.9, set(REGIONS), 7, 3)),
        (
            {"metric": "smoke_test.api_response", "condition": "> 500ms", "window": "10m"},
            (600, ">", 500.0, set(REGIONS), 3, 2),
        ),
        ({"metric": "smoke_test.cache_hit_rate", "condition": "< 50%"}, (300, "<", 0.5, set(REGIONS), 3, 2)),
    ],
)
def test_window_limit_regions_samples_and_quorum_are_the_same_everywhere(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    readers: Mapping[Evaluator, Callable[[tuple[Wanted, ...]], tuple[Any, ...]]] = {
        "datadog": read_datadog,
        "newrelic": read_newrelic,
        "cloudwatch": read_cloudwatch,
        "prometheus": read_prometheus,
    }
    for service in EVALUATORS:
        wanted = tuple(one for one in rendered(service, tmp_path, **changes).wanted if one.kind == "monitor")
        assert readers[service](wanted) == expected, service


@pytest.mark.parametrize(("failed", "level"), [(0, 0.0), (1, 1.0), (2, 2.0)])
def test_datadog_is_told_where_it_is_between_firing_and_over(tmp_path: Path, failed: int, level: float) -> None:
    """Nine in ten are neither below 0.9 nor yet 0.95 again."""
    body = monitor("datadog", tmp_path, recovery=">= 0.95").body
    samples = [one for region in (US, EU) for one in of_region(region, *(10 - failed) * [1.0], *failed * [0.0])]
    query = body["query"].removeprefix("max(last_5m):").removesuffix(" >= 2")
    assert datadog_value(query, samples) == level
    assert datadog_fires(body, samples) is (failed == 2)
    assert body["options"]["thresholds"] == {"critical": 2.0, "critical_recovery": 0.5}


def test_a_rule_is_one_service_s_alone(tmp_path: Path) -> None:
    assert rendered("datadog", tmp_path).wanted
    assert all(not rendered(service, tmp_path, environments=["elsewhere"]).wanted for service in EVALUATORS)


@pytest.mark.parametrize("service", EVALUATORS)
def test_metrics_have_the_prefix_of_the_service(tmp_path: Path, service: Evaluator) -> None:
    text = str([one.body for one in rendered(service, tmp_path, prefix="shop.").wanted])
    wanted = "shop_smoke_test_success" if service == "prometheus" else "shop.smoke_test.success"
    unprefixed = "smoke_test_success{" if service == "prometheus" else "smoke_test.success"
    described = "of smoke_test.success "
    assert wanted in text
    assert unprefixed not in text.replace(wanted, "").replace(described, "")


@pytest.mark.parametrize(
    ("service", "changes", "note"),
    [
        ("datadog", {"statistic": "p95"}, "success: Datadog has percentiles of distributions only: take mean or max."),
        ("newrelic", {"window": "7h"}, "success: New Relic looks back 6 h at most."),
        ("cloudwatch", {"window": "4h"}, "success: a CloudWatch query looks back 3 h at most."),
        ("cloudwatch", {"statistic": "p95"}, "success: a CloudWatch query has no percentiles: take mean or max."),
        ("prometheus", {"metric": "smoke_test.flaky", "statistic": "sum", "condition": "> 3"},
         "success: smoke_test.flaky is a total on a master, and of runs only the last is there: not in Prometheus."),
    ],
)  # fmt: skip
def test_what_a_service_cannot_watch_for_is_said_and_not_changed(
    tmp_path: Path, service: Evaluator, changes: dict[str, Any], note: str
) -> None:
    found = rendered(service, tmp_path, **changes)
    assert (found.wanted, found.notes) == ((), (note,))


@pytest.mark.parametrize(
    ("service", "notes"),
    [
        ("datadog", ()),
        (
            "newrelic",
            (
                "success: New Relic has no recovery apart: it ends where the condition no longer holds.",
                "success: New Relic knows critical and warning only: info is a warning there.",
                (
                    "success: a workflow of New Relic's is to tell oncall@example.com, #alerts, made by hand: filter "
                    "its issues by the condition's name, “smokeprobe here: success”."
                ),
            ),
        ),
        (
            "cloudwatch",
            (
                "success: CloudWatch has no recovery apart: it ends where the condition no longer holds.",
                "success: #alerts needs Amazon Q in chat applications (once AWS Chatbot), set up by hand.",
            ),
        ),
        (
            "prometheus",
            ("success: Alertmanager is to tell oncall@example.com, slack:#alerts: route by the label `notify`.",),
        ),
    ],
)
def test_what_is_left_to_be_done_by_hand_is_said(tmp_path: Path, service: Evaluator, notes: tuple[str, ...]) -> None:
    assert rendered(service, tmp_path, recovery=">= 0.95", severity="info").notes == notes


@pytest.mark.parametrize(
    ("service", "said"), [("datadog", True), ("newrelic", True), ("cloudwatch", True), ("prometheus", False)]
)
def test_whom_only_we_can_tell_is_said(tmp_path: Path, service: Evaluator, said: bool) -> None:
    notes = rendered(service, tmp_path, notify=["a@example.com", "pagerduty:ops", "apprise:teams"]).notes
    note = f"success: {service} does not tell pagerduty:ops, apprise:teams: only a rule that smokeprobe evaluates does."
    assert (note in notes) == said
    wanted = str(rendered(service, tmp_path, notify=["apprise:teams"]).wanted)
    assert ("apprise" in wanted) == (service == "prometheus")  # Alertmanager has its label
