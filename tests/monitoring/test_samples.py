"""What requests, verdicts and runs come to as samples, and that the number of series is bounded."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from probes.config.metrics import METRICS
from probes.model import Layer, Outcome, Phases, Reason, Step, Verdict
from probes.monitoring.samples import OTHER_VERSION, VERSIONS_KEPT, WHOLE_RUN, Sample, Sampler, by_second
from tests.reports import sample as runs

AT = 1_700_000_000.25
PHASES = Phases(dns_ms=0.4, connect_ms=0.5, tls_ms=3.2, ttfb_ms=8.0, download_ms=0.2)


def sampler() -> Sampler:
    return Sampler("production", "run")


def values(samples: list[Sample]) -> dict[str, float]:
    found = {sample.name: sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def of_verdict(verdict: Verdict) -> dict[str, float]:
    return values(sampler().verdict("eu", verdict, AT))


def test_a_verdict_with_everything() -> None:
    verdict = replace(runs.HEALTH, flaky=True)
    verdict = replace(verdict, metrics={"db_query_time_ms": 4.2, "cache_hit_rate": 0.93, "error_rate": 0.001})
    assert of_verdict(verdict) == {
        "smoke_test.duration": 0.031,
        "smoke_test.success": 1.0,
        "smoke_test.blind": 0.0,
        "smoke_test.flaky": 1.0,
        "smoke_test.throttled": 0.0,
        "smoke_test.certificate_days": 54.3,
        "smoke_test.db_query_time": 4.2,
        "smoke_test.cache_hit_rate": 0.93,
        "smoke_test.error_rate": 0.001,
    }


def test_a_page() -> None:
    measured = {"load_ms": 612.0, "ttfb_ms": 22.0, "fcp_ms": 200.0, "lcp_ms": 312.0, "cls": 0.01}
    found = of_verdict(replace(runs.HOMEPAGE, metrics=measured))
    assert found["smoke_test.homepage_load"] == 612.0
    vitals = {name.rpartition(".")[2]: value for name, value in found.items() if ".web_vitals." in name}
    assert vitals == {"ttfb": 22.0, "fcp": 200.0, "lcp": 312.0, "cls": 0.01}


@pytest.mark.parametrize(
    ("outcome", "success", "blind", "throttled"),
    [
        (Outcome.PASSED, 1.0, 0.0, 0.0),
        (Outcome.DEGRADED, 1.0, 0.0, 0.0),
        (Outcome.FAILED, 0.0, 0.0, 0.0),
        (Outcome.THROTTLED, None, 1.0, 1.0),
        (Outcome.ERROR, None, 1.0, 0.0),
        (Outcome.SKIPPED, None, 1.0, 0.0),
    ],
)
def test_availability_and_blindness_are_apart(
    outcome: Outcome, success: float | None, blind: float, throttled: float
) -> None:
    found = of_verdict(Verdict("api", outcome))
    assert found.get("smoke_test.success") == success
    assert found["smoke_test.blind"] == blind
    assert found["smoke_test.throttled"] == throttled


def test_what_was_left_out_on_purpose_is_no_sample() -> None:
    left_out = Verdict("api", Outcome.SKIPPED, reason=Reason("api", Layer.BUDGET, "left out"), configured_out=True)
    assert of_verdict(left_out) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_no_sample(value: float) -> None:
    verdict = replace(runs.HEALTH, metrics={"error_rate": value}, certificate_days=value, duration_s=value)
    assert set(of_verdict(verdict)) == {f"smoke_test.{name}" for name in ("success", "blind", "flaky", "throttled")}


def test_a_request_and_its_phases() -> None:
    step = Step("GET /", Outcome.PASSED, 12.0, 8.0, 100.0, PHASES)
    assert values(sampler().request("eu", "api", step, AT)) == {
        "smoke_test.api_response": 8.0,
        "smoke_test.phase.dns": 0.4,
        "smoke_test.phase.connect": 0.5,
        "smoke_test.phase.tls": 3.2,
        "smoke_test.phase.ttfb": 8.0,
        "smoke_test.phase.download": 0.2,
    }
    kept_alive = replace(step, phases=Phases(ttfb_ms=8.0, download_ms=0.2))
    assert "smoke_test.phase.dns" not in values(sampler().request("eu", "api", kept_alive, AT))


@pytest.mark.parametrize(
    "step",
    [
        Step("page /", Outcome.PASSED, 640, 612, 3000, Phases(ttfb_ms=22)),
        Step("console", Outcome.FAILED),
        Step("GET /", Outcome.FAILED),
    ],
)
def test_what_is_no_answered_request_is_no_sample(step: Step) -> None:
    assert sampler().request("eu", "homepage", step, AT) == []


def test_a_run() -> None:
    assert values(sampler().run(runs.FAILED, AT)) == {
        "smoke_test.duration": runs.FAILED.duration_s,
        "smoke_test.probe.blocked": 4.0,
        "smoke_test.budget_used": max(use.peak_percent for use in runs.FAILED.rate_limits),
    }
    assert dict(sampler().run(runs.FAILED, AT)[0].tags)["check"] == WHOLE_RUN


def test_tags_and_time() -> None:
    (one, *_) = sampler().verdict("eu-west-1", runs.HEALTH, AT)
    assert one.tags == (
        ("env", "production"), ("region", "eu-west-1"), ("check", "health"), ("version", "1.2.3"), ("mode", "run"),
    )  # fmt: skip
    assert one.at == AT


@pytest.mark.parametrize(
    ("claimed", "tag"), [("a,b|c:d\ne", "a_b_c_d_e"), ("x" * 60, "x" * 51), ("eu-west-1", "eu-west-1")]
)
def test_a_region_is_a_tag_whatever_it_is_called(claimed: str, tag: str) -> None:
    (one, *_) = sampler().verdict(claimed, runs.HEALTH, AT)
    assert dict(one.tags)["region"] == tag


def test_the_version_that_was_told_last_holds_for_the_other_checks() -> None:
    made = sampler()
    made.verdict("eu", runs.HEALTH, AT)
    (one, *_) = made.verdict("eu", runs.API, AT)
    assert dict(one.tags)["version"] == "1.2.3"


def test_a_target_that_tells_another_version_each_time_makes_no_more_series() -> None:
    made = sampler()
    step = Step("GET /", Outcome.PASSED, 12.0, 8.0, 100.0, PHASES)
    everything = {
        "load_ms": 1.0, "ttfb_ms": 1.0, "fcp_ms": 1.0, "lcp_ms": 1.0, "cls": 1.0,
        "db_query_time_ms": 1.0, "cache_hit_rate": 1.0, "error_rate": 1.0, "whatever_else": 1.0,
    }  # fmt: skip
    series = set()
    for number in range(100):
        for outcome in Outcome:
            verdict = replace(runs.HEALTH, outcome=outcome, metrics=everything, target_version=f"1.{number}")
            samples = made.verdict("eu", verdict, AT) + made.request("eu", "health", step, AT)
            series |= {(sample.name, sample.tags) for sample in samples}
    versions = {dict(tags)["version"] for _, tags in series}
    assert versions == {"1.0", "1.1", "1.2", "1.3", OTHER_VERSION}
    assert len(series) == 20 * (VERSIONS_KEPT + 1)  # 20 metrics a check; what a run comes to adds three


@pytest.mark.parametrize("told", ["", "<script>", "1.2\n3", "x" * 41, "[redacted: token]"])
def test_a_version_that_can_be_no_tag_is_none(told: str) -> None:
    (one, *_) = sampler().verdict("eu", replace(runs.HEALTH, target_version=told), AT)
    assert dict(one.tags)["version"] == ""


def test_every_metric_that_there_is_is_made_somewhere() -> None:
    made = sampler()
    step = Step("GET /", Outcome.PASSED, 12.0, 8.0, 100.0, PHASES)
    everything = dict.fromkeys(
        ("load_ms", "ttfb_ms", "fcp_ms", "lcp_ms", "cls", "db_query_time_ms", "cache_hit_rate", "error_rate"), 1.0
    )
    samples = made.verdict("eu", replace(runs.HEALTH, metrics=everything), AT)
    samples += made.request("eu", "api", step, AT) + made.run(runs.FAILED, AT)
    of_masters = {f"smoke_test.probe.{name}" for name in ("workers", "turn_age", "unacknowledged", "unwritten")}
    assert {sample.name for sample in samples} == set(METRICS) - of_masters - {"smoke_test.test"}


def test_one_value_a_second_for_each_series() -> None:
    tags = (("check", "api"),)
    gauges = [Sample("a", value, "gauge", "", tags, at) for value, at in ((1.0, 10.1), (3.0, 10.9), (7.0, 11.0))]
    counts = [Sample("b", 1.0, "count", "", tags, 10.0), Sample("b", 1.0, "count", "", tags, 10.5)]
    other = [Sample("a", 100.0, "gauge", "", (("check", "health"),), 10.1)]
    assert [(sample.name, sample.value, sample.at) for sample in by_second(gauges + counts + other)] == [
        ("a", 2.0, 10.0), ("a", 7.0, 11.0), ("b", 2.0, 10.0), ("a", 100.0, 10.0),
    ]  # fmt: skip
