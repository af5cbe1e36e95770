"""Two checks as they are shipped, before each fault that is theirs alone: the verdict that the fault says is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from probes.clients.browser import Browser
from probes.model import Verdict
from probes.standin.faults import FAULTS
from probes.standin.process import StandIn
from tests.checks.stage import Stage
from tests.clients.browser_help import rules, start
from tests.e2e.harness import ROOT, assert_left_nothing
from tests.faults import OF_HEALTH, OF_HOMEPAGE, layer_of

CHECKS: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "config" / "local.yaml")["checks"]
HEALTH = {"endpoints": {name: {**each, "within": "5s"} for name, each in CHECKS["health"]["endpoints"].items()}}
HOMEPAGE = {**CHECKS["homepage"], "within": "10s", "attempts": 1}
"""A busy machine does not break their limits of time; what a page lacks is waited for in each attempt."""

LIMITS = {"api": {"allows": "10000 per 60s", "key": "ip", "covers": ["* /api/v1/*"]}}


@pytest.fixture(scope="module")
def browser(running_design: StandIn) -> Iterator[Browser]:
    with start(rules(running_design.url)) as running:
        yield running


def assert_right(name: str, verdict: Verdict, target: StandIn) -> None:
    (expected,) = FAULTS[name].expected
    layer = verdict.reason and verdict.reason.layer
    assert (verdict.outcome, layer, verdict.flaky) == (expected.outcome, layer_of(name, expected), expected.flaky), (
        verdict
    )
    assert_left_nothing(target)


@pytest.mark.parametrize("name", OF_HEALTH)
def test_what_the_health_check_says(name: str, design: StandIn, stage: Stage) -> None:
    design.set_faults(name)
    assert_right(name, stage.run(HEALTH, "health", limits=LIMITS), design)
    assert {entry["path"] for entry in design.ledger()} <= {"/health", "/api/v1/health", "/api/v1/status"}
    assert len(design.ledger()) <= stage.usage.sent


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_HOMEPAGE)
def test_what_the_homepage_check_says(name: str, design: StandIn, browser: Browser, tmp_path: Path) -> None:
    stage = Stage(tmp_path, design.url, browser=browser)
    design.set_faults(name)
    assert_right(name, stage.run(HOMEPAGE, "homepage", limits=LIMITS), design)
    assert {entry["method"] for entry in design.ledger()} == {"GET"}
