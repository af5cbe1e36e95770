"""Another contract in configuration alone: the gateway as it is today."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import CHECKS, ROOT, Runner, assert_left_nothing, assert_recognisable, busiest


@pytest.fixture
def gateway() -> Iterator[StandIn]:
    with StandIn("gateway") as target:
        yield target


@pytest.fixture
def gateway_runner(gateway: StandIn, tmp_path: Path) -> Runner:
    return Runner(gateway, tmp_path, ROOT / "config" / "gateway.yaml")


@pytest.mark.slow  # its requests are a second apart
def test_the_shipped_configuration_passes(gateway: StandIn, gateway_runner: Runner) -> None:
    ran = gateway_runner.run()

    assert ran.code == 0, ran.story()
    assert {check: ran.outcome(check) for check in CHECKS} == dict.fromkeys(CHECKS, "passed")
    assert busiest([entry for entry in gateway.ledger() if "api" in entry["limits"]], 1.0) == 1
    assert_recognisable(gateway)
    assert_left_nothing(gateway)


@pytest.mark.parametrize("check", ["api", "homepage"])
def test_what_this_edge_says_instead_of_429_is_throttled(gateway: StandIn, gateway_runner: Runner, check: str) -> None:
    gateway.set_faults("edge-503")

    ran = gateway_runner.run("--check", check)

    assert ran.code == 3, ran.story()
    assert ran.outcome(check) == "throttled"
    assert sum(entry["path"].startswith("/api/v1/") for entry in gateway.ledger()) == 1
