"""What is rendered is what it was, and what each service's own model, schema or linter takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datadog_api_client import Configuration
from datadog_api_client.model_utils import validate_and_convert_types
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_options import MonitorOptions
from graphql import build_schema
from graphql.utilities import coerce_input_value

from probes.config.alert_rules import EVALUATORS, Evaluator
from probes.monitoring.as_code.wanted import logical_id
from tests.monitoring.alert_sample import monitor
from tests.monitoring.alert_sample import rendered as rendered_rule
from tests.monitoring.golden_monitors import path_of, rendered, text_of

NERDGRAPH = """
type Query { none: Boolean }
scalar Seconds
scalar Nrql
enum AlertsSignalAggregationMethod { CADENCE EVENT_FLOW EVENT_TIMER }
enum AlertsFillOption { LAST_VALUE NONE STATIC }
enum AlertsNrqlConditionTermsOperator { ABOVE ABOVE_OR_EQUALS BELOW BELOW_OR_EQUALS EQUALS NOT_EQUALS }
enum AlertsNrqlConditionPriority { CRITICAL WARNING }
enum AlertsNrqlConditionThresholdOccurrences { ALL AT_LEAST_ONCE }
input AlertsNrqlConditionQueryInput { query: Nrql! dataAccountId: Int evaluationOffset: Int }
input AlertsNrqlConditionSignalInput {
  aggregationDelay: Seconds aggregationMethod: AlertsSignalAggregationMethod aggregationTimer: Seconds
  aggregationWindow: Seconds evaluationDelay: Seconds fillOption: AlertsFillOption fillValue: Float slideBy: Seconds
}
input AlertsNrqlConditionExpirationInput {
  closeViolationsOnExpiration: Boolean expirationDuration: Seconds ignoreOnExpectedTermination: Boolean
  openViolationOnExpiration: Boolean
}
input AlertsNrqlConditionTermsInput {
  operator: AlertsNrqlConditionTermsOperator! priority: AlertsNrqlConditionPriority threshold: Float!
  thresholdDuration: Seconds! thresholdOccurrences: AlertsNrqlConditionThresholdOccurrences!
}
input AlertsNrqlConditionStaticInput {
  description: String enabled: Boolean! expiration: AlertsNrqlConditionExpirationInput name: String!
  nrql: AlertsNrqlConditionQueryInput! runbookUrl: String signal: AlertsNrqlConditionSignalInput
  terms: [AlertsNrqlConditionTermsInput!]! titleTemplate: String violationTimeLimitSeconds: Seconds
}
"""
"""NerdGraph's input of a static condition, as its documentation has it."""

CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"recovery": ">= 0.95", "no_data": "alert", "severity": "warning"},
    {"statistic": "min", "quorum": 1, "window": "3h", "severity": "info"},
)


@pytest.mark.parametrize("service", EVALUATORS)
def test_what_is_rendered_is_what_it_was(service: Evaluator) -> None:
    """If it is meant to differ: `python -m tests.monitoring.golden_monitors`, and read the difference."""
    assert text_of(rendered(service)) == path_of(service).read_text()


def as_monitor(body: dict[str, Any]) -> Monitor:
    """As Datadog's own client reads it. Raises where a field is of another type or no value of its enumeration."""
    options = Configuration()
    found: Monitor = validate_and_convert_types(
        body, (Monitor,), ["body"], spec_property_naming=True, check_type=True, configuration=options
    )
    return found


@pytest.mark.parametrize("changes", CHANGES)
def test_datadog_s_own_model_has_every_field(tmp_path: Path, changes: dict[str, Any]) -> None:
    for wanted in rendered_rule("datadog", tmp_path, **changes).wanted:
        read = as_monitor(dict(wanted.body))
        assert read.to_dict() == wanted.body
        assert wanted.body.keys() <= Monitor.openapi_types.keys()
        assert wanted.body["options"].keys() <= MonitorOptions.openapi_types.keys()
        assert {"name", "type", "query", "message"} <= wanted.body.keys()
        assert len(wanted.body["query"]) < 4000


@pytest.mark.parametrize("changes", CHANGES)
def test_nerdgraph_s_input_has_every_field(tmp_path: Path, changes: dict[str, Any]) -> None:
    body = monitor("newrelic", tmp_path, **changes).body
    kind = build_schema(NERDGRAPH).type_map["AlertsNrqlConditionStaticInput"]
    assert coerce_input_value(body, kind) == body  # type: ignore[arg-type] # an input type it is
    signal, (term,) = body["signal"], body["terms"]
    assert 30 <= signal["aggregationWindow"] <= 21_600
    assert signal["aggregationWindow"] % signal["slideBy"] == 0
    assert signal["slideBy"] < signal["aggregationWindow"]
    assert 60 <= term["thresholdDuration"] <= 86_400
    assert term["thresholdDuration"] % signal["aggregationWindow"] == 0
    assert 30 <= body["expiration"]["expirationDuration"] <= 172_800
    assert 300 <= body["violationTimeLimitSeconds"] <= 2_592_000
    assert len(body["nrql"]["query"]) <= 4096


def test_a_window_of_a_minute_does_not_slide(tmp_path: Path) -> None:
    assert "slideBy" not in monitor("newrelic", tmp_path, window="1m").body["signal"]


@pytest.mark.slow
def test_cfn_lint_has_nothing_to_say(tmp_path: Path) -> None:
    wanted = [one for changes in CHANGES for one in rendered_rule("cloudwatch", tmp_path, **changes).wanted]
    resources = {logical_id(one.kind, one.key): one.body for one in wanted}
    template = tmp_path / "alarms.template.json"
    template.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    linter = Path(sys.executable).with_name("cfn-lint")
    ran = subprocess.run(
        [linter, "--regions", "us-east-1", "--", template], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout + ran.stderr


def test_a_composite_alarm_names_alarms_that_are_there_and_a_topic_that_is(tmp_path: Path) -> None:
    wanted = rendered_rule("cloudwatch", tmp_path, no_data="alert", notify=["a@example.com", "b@example.com"]).wanted
    names = {logical_id(one.kind, one.key): one.body["Type"] for one in wanted}
    (composite,) = [one.body["Properties"] for one in wanted if one.body["Type"].endswith("CompositeAlarm")]
    text = json.dumps(composite)
    (rule,) = composite["AlarmRule"].values()
    used = {part.partition("}")[0] for part in rule.split("${")[1:]}
    assert used == {name for name, kind in names.items() if kind == "AWS::CloudWatch::Alarm"}
    topics = {one["Ref"] for one in composite["AlarmActions"]}
    assert topics == {name for name, kind in names.items() if kind == "AWS::SNS::Topic"}
    assert composite["OKActions"] == composite["AlarmActions"]
    assert len(topics) == 2
    assert "slack" not in text


@pytest.mark.parametrize(
    ("severity", "priority", "newrelic"),
    [("critical", 1, "CRITICAL"), ("warning", 3, "WARNING"), ("info", 5, "WARNING")],
)
def test_severity_and_whom_it_reaches(tmp_path: Path, severity: str, priority: int, newrelic: str) -> None:
    datadog = monitor("datadog", tmp_path, severity=severity).body
    assert (datadog["priority"], datadog["tags"]) == (priority, ["env:here", f"severity:{severity}"])
    assert datadog["message"].endswith("\n\n@oncall@example.com @slack-alerts")
    assert monitor("newrelic", tmp_path, severity=severity).body["terms"][0]["priority"] == newrelic
    labels = monitor("prometheus", tmp_path, severity=severity).body["rules"][-1]["labels"]
    told = "oncall@example.com slack:#alerts"
    assert labels == {"env": "here", "service": "shop", "severity": severity, "notify": told}
    topics = [
        one.body for one in rendered_rule("cloudwatch", tmp_path, severity=severity).wanted if one.kind == "topic"
    ]
    subscriptions = [topic["Properties"]["Subscription"] for topic in topics]
    assert subscriptions == [[{"Protocol": "email", "Endpoint": "oncall@example.com"}]]
