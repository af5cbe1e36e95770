"""The rules for Prometheus, judged by its own promtool: which series fire, when, and what ends it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.samples import Sample as Exposed

from probes.config.metrics import METRICS
from probes.config.monitoring import PrometheusOptions
from probes.monitoring.prometheus import Shelf
from probes.monitoring.samples import Sample
from tests.monitoring.alert_sample import monitor

pytestmark = pytest.mark.slow

STEP_S = 15
MINUTE = 60 // STEP_S


@dataclass(frozen=True)
class Series:
    """What one check gives in one region: a value each minute, `None` where it is silent and the last one stays.

    From `released_at` on the target says another version, which is another series. A product has a master of its own.
    """

    region: str
    values: Sequence[float | None]
    check: str = "front"
    released_at: int = 99
    product: str = "shop"


def scraped(series: Sequence[Series], metric: str) -> list[dict[str, str]]:
    """What Prometheus sees of masters that are told these values, every 15 s, as promtool takes it."""
    shelves = {one.product: Shelf(PrometheusOptions(tags={"service": one.product})) for one in series}
    seen: dict[str, list[str]] = {}
    for minute in range(max((len(one.values) for one in series), default=0)):
        for one in series:
            if minute < len(one.values) and (value := one.values[minute]) is not None:
                version = "2" if minute >= one.released_at else "1"
                tags = {"env": "here", "region": one.region, "check": one.check, "version": version, "mode": "fleet"}
                sample = Sample(metric, value, "gauge", METRICS[metric].unit, tuple(tags.items()), 60.0 * minute)
                shelves[one.product].send([sample], 1.0)
        page = {
            _name(sample, product): f"{sample.value:.12g}"
            for product, shelf in shelves.items()
            for family in shelf.collect()
            for sample in family.samples
        }
        for name in {**page, **seen}:
            before = seen.setdefault(name, ["_"] * MINUTE * minute)
            before += [page.get(name, "stale")] * MINUTE
    return [{"series": name, "values": " ".join(values)} for name, values in seen.items()]


def _name(sample: Exposed, master: str) -> str:
    labels = {**sample.labels, "instance": f"{master}:8091"}  # Prometheus adds where it was scraped
    return f"{sample.name}{{{','.join(f'{name}={json.dumps(value)}' for name, value in labels.items())}}}"


def tool(name: str, *arguments: str) -> str:
    """What it says; a test that fails is its own failure."""
    program = shutil.which(name)
    assert program, f"{name} is missing: make test-tools"
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=30)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def held(
    folder: Path, series: Sequence[Series], expected: Mapping[float, bool], product: str = "shop", **changes: Any
) -> None:
    """Let promtool look whether the product's alert, and no other, fires at these minutes."""
    names = []
    for name in {product, *(one.product for one in series)}:
        wanted = monitor("prometheus", folder, product=name, **changes)
        rules = folder / f"{name}.rules.json"
        rules.write_text(json.dumps({"groups": [wanted.body]}))  # which is YAML too
        tool("promtool", "check", "rules", str(rules))
        names.append(rules.name)
    alert = monitor("prometheus", folder, product=product, **changes).body["rules"][-1]
    firing = [{"exp_labels": alert["labels"], "exp_annotations": alert["annotations"]}]
    test = {
        "interval": f"{STEP_S}s",
        "input_series": scraped(series, changes.get("metric", "smoke_test.success")),
        "alert_rule_test": [
            {"eval_time": f"{60 * minute:g}s", "alertname": alert["alert"], "exp_alerts": firing if fires else []}
            for minute, fires in expected.items()
        ],
    }
    tests = folder / "tests.json"
    tests.write_text(json.dumps({"rule_files": names, "evaluation_interval": f"{STEP_S}s", "tests": [test]}))
    tool("promtool", "test", "rules", str(tests))


US, WEST, EU = "us-east-1", "us-west-2", "eu-west-1"
UP, DOWN = 1.0, 0.0


def outage(region: str, begins: int, ends: int) -> Series:
    """Healthy, but for a span of minutes."""
    return Series(region, [DOWN if begins <= minute < ends else UP for minute in range(30)])


def test_an_outage_in_a_quorum_of_regions_fires_at_once_and_ends(tmp_path: Path) -> None:
    series = [outage(US, 10, 15), outage(WEST, 0, 0), outage(EU, 10, 15)]
    held(tmp_path, series, {9: False, 11: True, 14: True, 18: True, 21: False})


def test_one_region_alone_does_not(tmp_path: Path) -> None:
    held(tmp_path, [outage(US, 10, 20), outage(WEST, 0, 0), outage(EU, 0, 0)], {12: False, 15: False, 19: False})


def test_nor_with_one_that_only_claims_to_be_somewhere(tmp_path: Path) -> None:
    series = [outage(US, 10, 20), outage(f"{EU}-unverified", 10, 20), outage("mars", 10, 20)]
    held(tmp_path, series, {12: False, 15: False, 19: False})


def test_nor_do_samples_that_are_too_few(tmp_path: Path) -> None:
    seldom: list[float | None] = [DOWN if minute % 3 == 0 else None for minute in range(30)]
    series = [Series(US, seldom), Series(EU, seldom)]
    held(tmp_path, series, {12: False, 20: False, 29: False})
    held(tmp_path, series, {12: True, 20: True, 29: True}, window="10m")


def test_a_value_that_stays_is_no_sample(tmp_path: Path) -> None:
    silent: list[float | None] = [*[UP] * 10, *[DOWN] * 5, *[None] * 15]
    held(tmp_path, [Series(US, silent), Series(EU, silent)], {14: True, 16: True, 18: False, 29: False})


def test_another_product_s_samples_do_not_count(tmp_path: Path) -> None:
    """Not even where both have the same rule in one Prometheus, and so the same names."""
    other = [replace(outage(region, 10, 15), product="bank") for region in (US, EU)]
    series = [outage(US, 0, 0), outage(EU, 0, 0), *other]
    held(tmp_path, series, {9: False, 12: True, 14: True, 21: False}, product="bank", recovery=">= 0.95")


def test_nor_does_its_clock_make_samples_of_a_value_that_stays(tmp_path: Path) -> None:
    silent: list[float | None] = [*[UP] * 10, *[DOWN] * 2, *[None] * 18]
    other = [replace(outage(region, 0, 0), product="bank") for region in (US, EU)]
    series = [Series(US, silent), Series(EU, silent), *other]
    held(tmp_path, series, {11: False, 13: False, 16: False, 20: False}, condition="< 0.5")


def test_what_weighs_is_samples_and_not_time(tmp_path: Path) -> None:
    """One failure of a check that is seldom, among many of another, however long it stands there."""
    seldom: list[float | None] = [UP, *[None] * 9, DOWN, *[None] * 19]
    series = [one for region in (US, EU) for one in (Series(region, seldom, check="back"), outage(region, 0, 0))]
    held(tmp_path, series, {11: False, 12: False, 14: False, 20: False}, window="10m")


def test_a_release_hides_no_sample(tmp_path: Path) -> None:
    """The third failure comes with another version, and so in another series."""
    fails = [*[UP] * 10, *[DOWN] * 3, *[UP] * 17]
    series = [Series(region, fails, released_at=12) for region in (US, EU)]
    held(tmp_path, series, {9.5: False, 12.5: True}, condition="< 0.5", samples=5)


def test_it_lasts_until_the_recovery_holds(tmp_path: Path) -> None:
    better: list[float | None] = [*[UP] * 10, *[DOWN] * 3, UP, UP, UP, UP, UP, UP, DOWN, *[UP] * 10]
    series = [Series(US, better), Series(EU, better)]
    held(
        tmp_path, series, {9: False, 12: True, 16: True, 19: True, 24: True, 28: True}, window="10m", recovery=">= 0.95"
    )
    held(tmp_path, series, {9: False, 12: True, 29: False}, window="10m", condition="< 0.8")


def test_what_has_not_fired_does_not_last(tmp_path: Path) -> None:
    series = [outage(US, 5, 6), outage(EU, 5, 6)]
    held(tmp_path, series, dict.fromkeys((5, 7, 9, 12), False), window="10m", condition="< 0.8", recovery=">= 0.95")


def test_too_few_samples_are_an_alert_where_that_is_asked_for(tmp_path: Path) -> None:
    silent: list[float | None] = [*[UP] * 10, *[None] * 20]
    series = [outage(US, 0, 0), Series(WEST, silent), Series(EU, silent)]
    held(tmp_path, series, {9: False, 11: False, 15: True, 29: True}, no_data="alert")
    held(tmp_path, series, {9: False, 11: False, 15: False, 29: False})


def test_nothing_at_all_is_an_alert_where_that_is_asked_for(tmp_path: Path) -> None:
    held(tmp_path, [], {1: True, 9: True}, no_data="alert")
    held(tmp_path, [], {1: False, 9: False})


@pytest.mark.parametrize(
    ("statistic", "condition", "fires"),
    [
        ("mean", "> 500ms", True),
        ("mean", "> 600ms", False),
        ("max", "> 900ms", True),
        ("max", "> 1s", False),
        ("max", "< 2s", True),
        ("min", "< 200ms", True),
        ("min", "> 99ms", True),
        ("sum", "> 5s", True),
        ("sum", "> 6s", False),
        ("p50", "> 400ms", True),
        ("p50", "> 500ms", False),
        ("p90", "> 800ms", True),
        ("p90", "< 900ms", False),
        ("p90", "<= 900ms", True),
        ("p90", "< 901ms", True),
    ],
)
def test_every_statistic(tmp_path: Path, statistic: str, condition: str, fires: bool) -> None:
    """Of 100, 200, … 1000 ms."""
    times = [UP, *(100.0 * number for number in range(1, 11))]
    series = [Series(US, times), Series(EU, times)]
    changes = {"metric": "smoke_test.api_response", "statistic": statistic, "condition": condition, "window": "10m"}
    held(tmp_path, series, {10: fires}, samples=10, **changes)


def test_what_is_rendered_of_the_shipped_rules_is_read_by_prometheus(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    changes: tuple[dict[str, str], ...] = (
        {},
        {"recovery": ">= 0.95"},
        {"no_data": "alert"},
        {"statistic": "p95"},
        {"statistic": "p95", "condition": "> 2"},
    )
    groups = [{**monitor("prometheus", tmp_path, **of).body, "name": str(number)} for number, of in enumerate(changes)]
    rules.write_text(json.dumps({"groups": groups}))
    assert "10 rules found" in tool("promtool", "check", "rules", "--lint=none", str(rules))


@pytest.mark.parametrize(
    ("notify", "told"),
    [
        ("oncall@betterprompts.com slack:#alerts", "oncall,slack-alerts"),
        ("slack:#alerts oncall@betterprompts.com", "oncall,slack-alerts"),
        ("oncall@betterprompts.com", "oncall"),
        ("not-oncall@betterprompts.com slack:#alerts-too", "nobody"),
    ],
)
def test_alertmanager_routes_as_the_runbook_has_it(tmp_path: Path, notify: str, told: str) -> None:
    runbook = (Path(__file__).parents[2] / "docs" / "smoke-test-runbook.md").read_text()
    (example,) = [block for block in re.findall(r"```yaml\n(.*?)```", runbook, re.DOTALL) if "receivers:" in block]
    config = tmp_path / "alertmanager.yml"
    config.write_text(example)
    ran = tool("amtool", "config", "routes", "test", f"--config.file={config}", f"notify={notify}")
    assert ran.strip() == told
