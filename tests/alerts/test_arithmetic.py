"""A rule's arithmetic by hand, and every way in which it can be no rule at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probes.alerts.arithmetic import Sums, problems_of, sums_of
from probes.checks.registry import load_settings
from probes.config.alert_rules import FILE, load_rules
from probes.config.load import Source, shipped
from tests.alerts.sample import HERE, here, rules

ALONE = (
    "condition: of 3 samples 1 is enough, and of regions 1: one sample is no ground for an alert: ask for more, or for "
    "more regions"
)
OF_ITSELF = (
    "metric: smoke_test.probe.workers is of the probe itself, and not in the history: name a service as evaluator"
)
HINT = "name a service as evaluator, or set SMOKEPROBE_DATABASE_URL"


@pytest.mark.parametrize(
    ("changes", "sums"),
    [
        # five samples and at most one of `shop`: the mean of six is below 0.9 with the first bad one
        ({}, Sums("one", ("front",), ("shop",), 5, 3, 60 + 6 + 5)),
        # 3 of 6
        ({"condition": "<= 0.5"}, Sums("one", ("front",), ("shop",), 5, 3, 180 + 6 + 5)),
        ({"condition": "< 0.5", "window": "60m"}, Sums("one", ("front", "shop"), (), 62, 3, 31 * 60 + 6 + 5)),
        ({"checks": ["front"], "condition": "<= 0.4"}, Sums("one", ("front",), (), 5, 3, 180 + 6 + 5)),
        # one time that is long enough can tip a mean, but only when all are too long must it
        (
            {"metric": "smoke_test.api_response", "condition": "> 500ms", "checks": ["front"]},
            Sums("one", ("front",), (), 5, 3, 300 + 6 + 5),
        ),
        # by nearest rank the third of five
        (
            {"metric": "smoke_test.api_response", "statistic": "p50", "condition": "> 500ms", "checks": ["front"]},
            Sums("one", ("front",), (), 5, 3, 180 + 6 + 5),
        ),
        (
            {"metric": "smoke_test.certificate_days", "statistic": "min", "condition": "< 14d", "checks": ["front"]},
            Sums("one", ("front",), (), 5, 3, 60 + 6 + 5),
        ),
        (
            {"metric": "smoke_test.throttled", "statistic": "sum", "condition": "> 2", "checks": ["front"]},
            Sums("one", ("front",), (), 5, 3, 180 + 6 + 5),
        ),
    ],
)
def test_what_a_rule_comes_to(tmp_path: Path, changes: dict[str, Any], sums: Sums) -> None:
    rule = rules(tmp_path, one=changes).rules["one"]
    assert sums_of("one", rule, here(tmp_path), shared=True) == sums


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, f"quorum: 2 can never be reached: without a database each master of here sees one region only: {HINT}"),
        ({"evaluator": "datadog"}, ""),
        ({"quorum": 1, "condition": "< 0.5"}, ""),
        (
            {"quorum": 1},
            ALONE,
        ),
        (
            {"quorum": 1, "metric": "smoke_test.probe.workers", "condition": "< 1"},
            OF_ITSELF,
        ),
        ({"evaluator": "datadog", "metric": "smoke_test.probe.workers", "condition": "< 1"}, ""),
        (
            {"evaluator": "datadog", "metric": "smoke_test.homepage_load", "condition": "> 3s"},
            "metric: no check of here that it is about gives smoke_test.homepage_load: it can never fire",
        ),
        (
            {"evaluator": "datadog", "checks": ["front", "shop"], "window": "59m"},
            "window: 59 min is less than two intervals of shop (30 min): write 60m or longer",
        ),
        (
            {"evaluator": "datadog", "window": "1m", "samples": 1},
            "window: 60 s is less than two intervals of front (60 s): write 2m or longer",
        ),
        ({"evaluator": "datadog", "samples": 6}, "samples: a region gives 5 within 5 min, never 6: it never fires"),
        ({"evaluator": "datadog", "condition": "< 0"}, "condition: can never hold: it is from 0 to 1"),
        ({"evaluator": "datadog", "condition": "> 1"}, "condition: can never hold: it is from 0 to 1"),
        (
            {"evaluator": "datadog", "condition": "<= 1"},
            "condition: always holds, however good the target is: so it does of 1",
        ),
        (
            {"evaluator": "datadog", "metric": "smoke_test.flaky", "statistic": "sum", "condition": "> 6"},
            "condition: can never hold: it is 6 at most",
        ),
        (
            {"evaluator": "datadog", "metric": "smoke_test.duration", "condition": "< 0s"},
            "condition: can never hold: it is never below 0",
        ),
        (
            {"evaluator": "datadog", "metric": "smoke_test.duration", "condition": ">= 0s"},
            "condition: always holds, however good the target is: so it does of 0",
        ),
        (
            {"evaluator": "datadog", "metric": "smoke_test.certificate_days", "statistic": "min", "condition": "< 0d"},
            "",
        ),
        (
            {"quorum": 1, "metric": "smoke_test.api_response", "statistic": "max", "condition": "> 500ms"},
            ALONE,
        ),
        ({"quorum": 1, "metric": "smoke_test.api_response", "statistic": "p50", "condition": "> 500ms"}, ""),
        ({"environments": ["elsewhere"]}, ""),
    ],
)
def test_what_is_no_rule(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    expected = [f"{tmp_path / FILE}:1: rules.one.{problem}"] if problem else []
    assert problems_of(rules(tmp_path, one=changes), here(tmp_path), shared=False) == expected


def test_a_database_or_one_master_for_all_sees_every_region(tmp_path: Path) -> None:
    assert problems_of(rules(tmp_path, one={}), here(tmp_path), shared=True) == []
    together = HERE.replace("us: { share: us, regions: [us] }", "us: { share: us, regions: [us, eu] }")
    together = together.replace("  eu: { share: eu, regions: [eu] }\n", "")
    assert problems_of(rules(tmp_path, one={}), here(tmp_path, together), shared=False) == []


def test_a_check_that_is_left_out_feeds_nothing(tmp_path: Path) -> None:
    settings = here(tmp_path, HERE.replace("    every: 60s", "    every: 60s\n    enabled: false"))
    found = problems_of(rules(tmp_path, one={"evaluator": "datadog", "checks": ["front"]}), settings, shared=False)
    (problem,) = found
    assert problem.endswith("no check of here that it is about gives smoke_test.success: it can never fire")


@pytest.mark.parametrize("env", ["production", "staging"])
def test_the_rules_that_are_shipped_can_fire_and_rest_on_more_than_one_sample(env: str) -> None:
    settings = load_settings(Source(shipped("config") / f"{env}.yaml"))
    assert problems_of(load_rules(shipped("config") / FILE), settings, shared=False) == []


def test_an_outage_of_production_is_known_within_three_minutes() -> None:
    settings = load_settings(Source(shipped("config") / "production.yaml"))
    rule = load_rules(shipped("config") / FILE).rules["success"]
    assert sums_of("success", rule, settings, shared=False).alert_s <= 180
