"""The rules: every mistake at once, what a condition comes to, and what does not fit an environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from probes.checks.registry import load_settings
from probes.config.alert_rules import FILE, RuleFile, load_rules
from probes.config.conditions import Condition
from probes.config.load import Source, shipped
from probes.config.models import Settings
from probes.config.monitoring import FILE as INTEGRATION
from probes.config.monitoring import Integration, load_integration
from probes.errors import ConfigError
from tests.config.sample import GOOD, as_yaml, read

BAD = Path(__file__).with_name("bad-rules.yaml")
NO_ADDRESS = (
    'is no address: write name@example.com, "slack:#channel", or pagerduty, opsgenie or apprise with a name, such as '
    "pagerduty:primary"
)

RULE: Mapping[str, Any] = {
    "metric": "smoke_test.success",
    "statistic": "mean",
    "condition": "< 0.9",
    "window": "5m",
    "samples": 3,
    "quorum": 2,
    "environments": ["here"],
    "severity": "critical",
    "notify": ["oncall@example.com"],
    "evaluator": "datadog",
}

NO_ADDRESS = 'is no address: write name@example.com, "slack:#channel", pagerduty:NAME or opsgenie:NAME or apprise:NAME'


def rules(folder: Path, **changes: Any) -> RuleFile:
    """One rule, changed."""
    path = folder / FILE
    path.write_text(as_yaml({"rules": {"one": {**RULE, **changes}}}))
    return load_rules(path)


def mistakes(folder: Path, **changes: Any) -> list[str]:
    """What is wrong with it, without file and line."""
    with pytest.raises(ConfigError) as raised:
        rules(folder, **changes)
    return [problem.removeprefix(f"{folder / FILE}:1: rules.one.") for problem in raised.value.problems]


def test_every_mistake_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load_rules(BAD)
    assert [problem.removeprefix(f"{BAD}:") for problem in raised.value.problems] == [
        (
            "3: rules.success.metric: 'smoke_test.sucess' is no metric of ours, such as smoke_test.success; did you "
            "mean smoke_test.success?"
        ),
        "4: rules.success.statistic: 'average' is no statistic: mean, min, max, sum, or a percentile such as p95",
        '5: rules.success.condition: 0.9 is no condition: write "< 0.9", or with <=, > or >=',
        "6: rules.success.window: 90 s is no window: whole minutes, from 1m to 24h",
        "7: rules.success.samples: must be greater than or equal to 1",
        "9: rules.success.environments: must not be empty",
        "10: rules.success.severity: must be 'critical', 'warning' or 'info'",
        f"11: rules.success.notify.0: 'oncall' {NO_ADDRESS}",
        f"11: rules.success.notify.1: 'slack:alerts' {NO_ADDRESS}",
        (
            "12: rules.success.evaluator: 'smokeprob' evaluates no rules: one of smokeprobe, datadog, newrelic, "
            "cloudwatch, prometheus; did you mean smokeprobe?"
        ),
        "15: rules.slow.statistic: 'p100' is no statistic: mean, min, max, sum, or a percentile such as p95",
        "16: rules.slow.condition: smoke_test.api_response is a time, with its unit: write 500ms, not '500'",
        "17: rules.slow.recovery: smoke_test.api_response is a time, with its unit: write 500ms, not 'high'",
        "18: rules.slow.window: 5 is not a time with its unit: write 100ms, 30s, 5m, 2h or 21d",
        "20: rules.slow.quorum: one sample of one region is no ground for an alert: ask for more of either",
        "21: rules.slow.checks.0: 'API' is not a name: small letters, digits, - and _, at most 40",
        "22: rules.slow.environments.0: 'Production' is not a name: small letters, digits, - and _, at most 40",
        "24: rules.slow.notify: must not be empty",
        "25: rules.slow.evaluator: one evaluator watches for a rule, never two: each would tell of one outage",
        "26: rules.slow.no_data: must be 'ok' or 'alert'",
        (
            "27: rules.slow.mute.0: '5m' is no span of the day: write \"22:00-06:00 Europe/Berlin\", or UTC without a "
            "zone"
        ),
        "27: rules.slow.mute.1: 'Berlin' is not a time zone: write Europe/Berlin or UTC",
        (
            "27: rules.slow.mute.2: '08:00-08:00' is no span of the day: write \"22:00-06:00 Europe/Berlin\", or UTC "
            "without a zone"
        ),
        "31: rules.busy.condition: smoke_test.budget_used is a share: write 80%, not 'much'",
        "33: rules.busy.window: 48 h is no window: whole minutes, from 1m to 24h",
        "35: rules.busy.quorum: must be greater than or equal to 1",
        "36: rules.busy.checks: smoke_test.budget_used is of whole runs: leave the checks out",
        (
            "40: rules.busy.evaluator: 'datdog' evaluates no rules: one of smokeprobe, datadog, newrelic, cloudwatch, "
            "prometheus; did you mean datadog?"
        ),
        "43: rules.flaky.statistic: smoke_test.flaky counts how many there were: its statistic is sum",
        "44: rules.flaky.condition: smoke_test.flaky has no unit: write a number such as 0.9, not '5 times'",
        "46: rules.flaky.window: '0s' is no time at all: write 100ms or longer",
        "53: rules.Names: 'Names' is not a name: small letters, digits, - and _, at most 40",
        *(f"53: rules.Names.{key}: is missing" for key in RULE),
    ]


@pytest.mark.parametrize(
    ("metric", "text", "condition"),
    [
        ("smoke_test.success", "< 0.9", Condition("<", 0.9)),
        ("smoke_test.success", "<=0.9", Condition("<=", 0.9)),
        ("smoke_test.api_response", "> 500ms", Condition(">", 500.0)),
        ("smoke_test.api_response", ">= 0.5s", Condition(">=", 500.0)),
        ("smoke_test.duration", "> 20s", Condition(">", 20.0)),
        ("smoke_test.duration", "> 1m", Condition(">", 60.0)),
        ("smoke_test.certificate_days", "< 14d", Condition("<", 14.0)),
        ("smoke_test.certificate_days", "< 36h", Condition("<", 1.5)),
        ("smoke_test.cache_hit_rate", "< 50%", Condition("<", 0.5)),
        ("smoke_test.cache_hit_rate", "< 0.5", Condition("<", 0.5)),
        ("smoke_test.budget_used", "> 80%", Condition(">", 80.0)),
    ],
)
def test_a_condition_is_in_the_metric_s_own_unit(tmp_path: Path, metric: str, text: str, condition: Condition) -> None:
    assert rules(tmp_path, metric=metric, condition=text).rules["one"].condition == condition


@pytest.mark.parametrize(
    ("condition", "recovery", "ended"),
    [
        ("< 0.9", None, Condition(">=", 0.9)),
        ("<= 0.9", None, Condition(">", 0.9)),
        ("> 0.9", None, Condition("<=", 0.9)),
        (">= 0.9", None, Condition("<", 0.9)),
        ("< 0.9", ">= 0.95", Condition(">=", 0.95)),
        ("< 0.9", ">= 0.9", Condition(">=", 0.9)),
        ("> 0.9", "< 0.5", Condition("<", 0.5)),
    ],
)
def test_what_ends_it(tmp_path: Path, condition: str, recovery: str | None, ended: Condition) -> None:
    changes = {"condition": condition, **({"recovery": recovery} if recovery else {})}
    assert rules(tmp_path, **changes).rules["one"].recovered == ended


@pytest.mark.parametrize(
    ("condition", "recovery"),
    [("< 0.9", "< 0.95"), ("< 0.9", ">= 0.85"), ("> 0.9", "<= 0.95"), ("<= 0.9", ">= 0.9"), ("> 0.9", ">= 0.5")],
)
def test_what_fires_a_rule_cannot_end_it(tmp_path: Path, condition: str, recovery: str) -> None:
    assert mistakes(tmp_path, condition=condition, recovery=recovery) == [
        "recovery: must be on the other side of the condition: what fires a rule cannot end it"
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "smoke_test.test"}, "metric: smoke_test.test is sent by hand only: a rule about it never fires"),
        ({"metric": 7}, "metric: must be a text"),
        ({"notify": "oncall@example.com"}, "notify: must be a list"),
        ({"notify": ["x"]}, f"notify.0: 'x' {NO_ADDRESS}"),
        ({"notify": ["a b@c.de"]}, f"notify.0: 'a b@c.de' {NO_ADDRESS}"),
        ({"window": "25h"}, "window: 25 h is no window: whole minutes, from 1m to 24h"),
        ({"recovery": 0.95}, 'recovery: 0.95 is no condition: write "< 0.9", or with <=, > or >='),
        ({"condition": "< nan"}, "condition: smoke_test.success has no unit: write a number such as 0.9, not 'nan'"),
        ({"evaluator": "smokeprobe", "reminder": "1m"}, "reminder: 60 s is too often: write 5m or longer"),
        (
            {"reminder": "1h"},
            "reminder: datadog tells of this rule, and is not told of that: set it there, and leave it out",
        ),
        (
            {"mute": ["22:00-06:00"]},
            "mute: datadog tells of this rule, and is not told of that: set it there, and leave it out",
        ),
        ({"condition": "== 1"}, "condition: '== 1' is no condition: write \"< 0.9\", or with <=, > or >="),
    ],
)  # fmt: skip
def test_a_mistake(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert mistakes(tmp_path, **changes) == [message]


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return read(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"quorum": 3}, "quorum: 3 can never be reached: here has 2 regions"),
        ({"checks": ["fornt"]}, "checks: 'fornt' is no check of here; did you mean front?"),
        ({"checks": ["fornt"], "quorum": 3, "environments": ["elsewhere"]}, ""),
    ],
)
def test_what_does_not_fit_an_environment(tmp_path: Path, here: Settings, changes: Any, problem: str) -> None:
    expected = [f"{tmp_path / FILE}:1: rules.one.{problem}"] if problem else []
    assert rules(tmp_path, **changes).problems_in(here, Integration()) == expected


def test_an_environment_without_regions_has_nothing_to_count(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD.replace("regions: [us-east-1, eu-west-1]\n", ""))
    why = "here names no regions, and only named ones are counted: add regions: [NAME] to it"
    assert rules(tmp_path).problems_in(settings, Integration()) == [f"{tmp_path / FILE}:1: rules.one.quorum: {why}"]


def test_a_quorum_wants_regions_that_something_can_bear_out(tmp_path: Path) -> None:
    """Of a place that is no region of AWS only a proof can tell; what is not borne out counts for no rule."""
    regions = "regions: [us-east-1, attic]\n"
    text = GOOD.replace("regions: [us-east-1, eu-west-1]\n", regions)
    why = "2 can never be reached: nothing bears out attic; say what does, such as "
    why += "region_proofs: { attic: { env: VARIABLE } }"
    problem = f"{tmp_path / FILE}:1: rules.one.quorum: {why}"
    assert rules(tmp_path).problems_in(read(tmp_path, text), Integration()) == [problem]
    proved = text.replace(regions, regions + "region_proofs: { attic: { env: PLACE } }\n")
    assert rules(tmp_path).problems_in(read(tmp_path, proved), Integration()) == []
    assert rules(tmp_path, quorum=1).problems_in(read(tmp_path, text), Integration()) == []


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        (
            ["smoke_test.phase.*"],
            "metric: monitoring-integration.yaml keeps smoke_test.success from datadog: it never fires",
        ),
        (["smoke_test.phase.*", "smoke_test.succ*"], ""),
    ],
)
def test_a_rule_wants_a_metric_that_its_service_is_sent(
    tmp_path: Path, here: Settings, metrics: list[str], problem: str
) -> None:
    integration = Integration.model_validate({"services": {"datadog": {"metrics": metrics}}})
    expected = [f"{tmp_path / FILE}:1: rules.one.{problem}"] if problem else []
    assert rules(tmp_path).problems_in(here, integration) == expected


def test_without_a_file_there_are_no_rules(tmp_path: Path, here: Settings) -> None:
    none = load_rules(tmp_path / FILE)
    assert none.rules == {}
    assert none.problems_in(here, Integration()) == []


def test_the_rules_that_are_shipped() -> None:
    """What was asked for, word by word, and that all of it fits production."""
    found = load_rules(shipped("config") / FILE)
    settings = load_settings(Source(shipped("config") / "production.yaml"))
    assert found.problems_in(settings, load_integration(shipped("config") / INTEGRATION)) == []
    success, slow = found.rules["success"], found.rules["slow"]
    assert (success.metric, success.statistic, success.condition) == ("smoke_test.success", "mean", Condition("<", 0.9))
    assert (success.window, success.severity) == (300.0, "critical")
    assert success.notify == ("oncall@betterprompts.com", "slack:#alerts")
    assert (slow.metric, slow.condition, slow.window) == ("smoke_test.api_response", Condition(">", 500.0), 600.0)
    assert (slow.severity, slow.notify) == ("warning", ("team@betterprompts.com",))
    assert found.of("production", "datadog").keys() == {name for name in found.rules if "staging" not in name}
    assert found.of("staging", "smokeprobe").keys() == {"staging", "staging-blind"}
    assert found.of("staging", "datadog") == {}
    assert found.of("production", "prometheus") == {}
