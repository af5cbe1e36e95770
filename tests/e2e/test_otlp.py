"""A run and an OpenTelemetry Collector; Locust's own way there stays shut."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import LOCUST, ROOT, Runner
from tests.monitoring.otlp_server import KEY, OtlpServer, otlp_server

QUICK = ("--no-browser", "--check", "api", "--check", "health")


@pytest.fixture
def collector() -> Iterator[OtlpServer]:
    with otlp_server() as server:
        yield server


def test_a_run_tells_all_that_it_has_found_and_its_requests_stay_as_they_are(
    runner: Runner, collector: OtlpServer
) -> None:
    ran = runner.run(*QUICK, "--region", "eu-west-1", env=collector.environment)
    assert ran.code == 0, ran.story()
    assert (collector.complaints, collector.requests) == ([], 1)
    assert ran.sink("otlp")["spooled"] == ran.sink("otlp")["dropped"] == 0
    assert ran.sink("otlp")["sent"] > 30
    assert collector.values("smoke_test.success", check="api", region="eu-west-1-unverified", mode="run") == [1.0]
    assert collector.values("smoke_test.duration", check="_run") == [pytest.approx(ran.report["duration_s"], abs=0.01)]
    assert KEY not in ran.stdout + ran.stderr + ran.json_file.read_text()
    seen = runner.target.ledger()
    assert {entry["traceparent"].split("-")[1] for entry in seen} == {ran.report["run_id"]}


@pytest.mark.release
def test_one_that_hangs_costs_two_seconds_at_most_and_has_everything_after_the_next_run(
    runner: Runner, collector: OtlpServer, tmp_path: Path
) -> None:
    collector.mode = "hang"
    state = tmp_path / "state"
    without = [runner.run(*QUICK)]
    first = runner.run(*QUICK, state=state, env=collector.environment)
    without.append(runner.run(*QUICK))
    assert [ran.code for ran in (first, *without)] == [0, 0, 0], first.story()
    added = [first.besides_s - ran.besides_s for ran in without]
    assert min(added) < 2.0 + 1.5, first.story()  # the rest is what a busy machine makes of importing a client
    assert first.sink("otlp")["spooled"] > 30
    files = [file for file in state.rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    collector.mode = "up"
    second = runner.run(*QUICK, state=state, env=collector.environment)
    assert second.sink("otlp")["spooled"] == second.sink("otlp")["dropped"] == 0, second.story()
    assert collector.values("smoke_test.success") == [1.0] * 4
    assert collector.complaints == []


def test_locusts_own_is_refused_before_anything_is_sent(runner: Runner, collector: OtlpServer) -> None:
    config = str(ROOT / "config" / "locust" / "scheduled.conf")
    line = [LOCUST, "-f", str(ROOT / "locustfiles" / "production_smoke.py"), "--config", config]
    line += ["--env", "local", "--target-url", runner.target.url]
    environ = {**os.environ, **collector.environment, "LOCUST_ENABLE_OPENTELEMETRY": "true"}
    done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 2
    assert "Locust's --otel would put headers of its own on each request" in done.stderr
    assert "SMOKEPROBE_MONITORING=otlp" in done.stderr
    assert "Traceback" not in done.stderr
    assert (collector.requests, runner.target.ledger()) == (0, [])
