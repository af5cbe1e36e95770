"""A run and CloudWatch: through its API, and from inside Lambda."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Runner
from tests.monitoring.cloudwatch_server import SECRET, TOKEN, CloudWatchServer, cloudwatch_server
from tests.monitoring.emf import read_line

QUICK = ("--no-browser", "--check", "api", "--check", "health")
EVERYWHERE = {"env": "local", "region": "local", "mode": "run"}
LAMBDA = {"SMOKEPROBE_MONITORING": "cloudwatch", "AWS_LAMBDA_FUNCTION_NAME": "smoke", "AWS_REGION": "eu-west-1"}


@pytest.fixture
def cloudwatch(moto: tuple[str, int]) -> Iterator[CloudWatchServer]:
    with cloudwatch_server(moto) as server:
        yield server


def test_a_run_tells_all_that_it_has_found(runner: Runner, cloudwatch: CloudWatchServer) -> None:
    ran = runner.run(*QUICK, env=cloudwatch.environment)
    assert ran.code == 0, ran.story()
    assert (cloudwatch.complaints, cloudwatch.requests) == ([], 1)
    assert ran.sink("cloudwatch")["spooled"] == ran.sink("cloudwatch")["dropped"] == 0
    assert ran.sink("cloudwatch")["sent"] == sum(len(datum["Values"]) for datum in cloudwatch.put) > 30
    assert cloudwatch.values("smoke_test.success", check="api", **EVERYWHERE) == [1.0]
    assert cloudwatch.values("smoke_test.success", check="health", **EVERYWHERE) == [1.0]
    assert cloudwatch.values("smoke_test.duration", check="_run") == [pytest.approx(ran.report["duration_s"], abs=0.01)]
    judged = [step["judged_ms"] for step in ran.checks["api"]["steps"] if step["judged_ms"] is not None]
    assert cloudwatch.values("smoke_test.api_response", check="api") == pytest.approx(judged, abs=0.001)
    at = next(datum["Timestamp"] for datum in cloudwatch.put if datum["MetricName"] == "smoke_test.db_query_time")
    assert cloudwatch.kept("smoke_test.db_query_time", at, check="health", **EVERYWHERE) == [4.2, 4.2, 4.2, 1.0]
    assert not [key for key in (SECRET, TOKEN) if key in ran.stdout + ran.stderr + ran.json_file.read_text()]


@pytest.mark.release
def test_one_that_hangs_costs_two_seconds_at_most_and_has_everything_after_the_next_run(
    runner: Runner, cloudwatch: CloudWatchServer, tmp_path: Path
) -> None:
    cloudwatch.mode = "hang"
    state = tmp_path / "state"
    without = [runner.run(*QUICK)]
    first = runner.run(*QUICK, state=state, env=cloudwatch.environment)
    without.append(runner.run(*QUICK))
    assert [ran.code for ran in (first, *without)] == [0, 0, 0], first.story()
    added = [first.besides_s - ran.besides_s for ran in without]
    assert min(added) < 2.0 + 1.5, first.story()  # the rest is what a busy machine makes of importing a client
    assert first.sink("cloudwatch")["spooled"] > 30
    assert any(note.startswith("cloudwatch: ") for note in first.report["notes"])
    files = [file for file in state.rglob("*") if file.is_file()]
    assert not [file for file in files for key in (SECRET, TOKEN) if key.encode() in file.read_bytes()]
    cloudwatch.mode = "up"
    second = runner.run(*QUICK, state=state, env=cloudwatch.environment)
    assert second.sink("cloudwatch")["spooled"] == second.sink("cloudwatch")["dropped"] == 0, second.story()
    assert cloudwatch.values("smoke_test.success") == [1.0] * 4
    assert cloudwatch.complaints == []


def test_inside_lambda_the_log_has_it_and_stays_readable(runner: Runner) -> None:
    begun = time.time()
    ran = runner.run(*QUICK, env=LAMBDA, prefix=(sys.executable, "-X", "importtime"))
    assert ran.code == 0, ran.story()
    lines = ran.stdout.splitlines()
    documents = [read_line(line) for line in lines if line.startswith("{")]
    values = {
        (metric["Name"], document["check"]): document[metric["Name"]]
        for document in documents
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }
    assert values["smoke_test.success", "api"] == values["smoke_test.success", "health"] == 1.0
    assert values["smoke_test.duration", "_run"] == pytest.approx(ran.report["duration_s"], abs=0.01)
    assert all(begun - 1 <= document["_aws"]["Timestamp"] / 1000 <= time.time() for document in documents)
    assert ran.sink("cloudwatch")["sent"] > len(values) > 20
    assert not re.search(r"^import time:.*\| +boto", ran.stderr, re.MULTILINE)
    rest = "\n".join(line for line in lines if not line.startswith("{"))
    assert "_aws" not in rest
    assert f"cloudwatch: sent {ran.sink('cloudwatch')['sent']}, spooled 0, dropped 0" in rest


@pytest.mark.parametrize("into", ['"$@" >/dev/full', '"$@" >&-'])
def test_where_the_log_takes_nothing_it_was_not_sent(runner: Runner, into: str) -> None:
    ran = runner.run(*QUICK, env=LAMBDA, prefix=("sh", "-c", into, "sh"))
    assert ran.code == 0, ran.story()
    assert ran.sink("cloudwatch")["sent"] == ran.sink("cloudwatch")["dropped"] == 0
    assert ran.sink("cloudwatch")["spooled"] > 20
    assert "cloudwatch: standard output leads nowhere." in ran.report["notes"]


def test_a_wish_that_cannot_be_met_is_said_before_anything_is_sent(runner: Runner) -> None:
    environ = {"SMOKEPROBE_MONITORING": "cloudwatch", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_CONFIG_FILE": os.devnull}
    ran = runner.run(*QUICK, env=environ)
    assert ran.code == 2
    assert "cloudwatch: in which region?" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert runner.target.ledger() == []
