"""What a run tells New Relic, and that a collector that hangs is not in its way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Ran, Runner
from tests.monitoring.newrelic_server import KEY, Mode, NewRelicServer, newrelic_server
from tests.waiting import until

QUICK = ("--no-browser", "--check", "api", "--check", "health")
WAYS = ("newrelic", "newrelic_metrics")


@pytest.fixture
def newrelic(tmp_path: Path) -> Iterator[NewRelicServer]:
    with newrelic_server(tmp_path) as server:
        yield server


def tells(server: NewRelicServer, ran: Ran) -> None:
    """Both ways have what a run has found, and nobody else has the key."""
    assert ran.code == 0, ran.story()
    assert server.complaints == []
    times = [ran.step("health", step["name"])["judged_ms"] for step in ran.checks["health"]["steps"]]
    judged = sorted(time for time in times if time is not None)
    of_run = {"env": "local", "region": "local", "mode": "run"}
    for values in (server.attributes, server.values):
        assert values("smoke_test.success", check="health", version="1.2.3", **of_run) == [1.0]
        assert values("smoke_test.success", check="api", **of_run) == [1.0]
        assert values("smoke_test.db_query_time", check="health") == [4.2]
        assert values("smoke_test.blind") == [0.0, 0.0]
        assert sorted(values("smoke_test.api_response", check="health")) == pytest.approx(judged, abs=0.01)
        (whole,) = values("smoke_test.duration", check="_run", **of_run)
        assert whole == pytest.approx(ran.report["duration_s"], abs=0.01)
    assert KEY not in ran.stdout + ran.stderr + ran.json_file.read_text()


def test_a_run_tells_all_that_it_has_found(runner: Runner, newrelic: NewRelicServer, tmp_path: Path) -> None:
    ran = runner.run(*QUICK, state=tmp_path / "state", env=newrelic.environment)
    tells(newrelic, ran)
    sent = len(newrelic.points)
    assert sent > 30
    assert {name: ran.sink(name) for name in WAYS} == {
        name: {"sent": sent, "spooled": 0, "dropped": 0} for name in WAYS
    }
    assert f"newrelic: sent {sent}, spooled 0, dropped 0" in ran.stdout


@pytest.mark.parametrize("mode", ["hang", pytest.param("drip", marks=pytest.mark.release)])
def test_a_collector_that_hangs_is_told_by_the_next_run(
    runner: Runner, newrelic: NewRelicServer, tmp_path: Path, mode: Mode
) -> None:
    state, newrelic.mode = tmp_path / "state", mode
    first = runner.run(*QUICK, state=state, env=newrelic.environment)
    assert first.code == 0, first.story()
    if mode == "hang":  # by the server's clock; the rest is what a busy machine makes of a process
        assert until(lambda: len(newrelic.held_s) == 2)
        assert max(newrelic.held_s) < 2.0 + 1.0, first.story()
    for name in WAYS:
        assert first.sink(name)["spooled"] > 30
        assert first.sink(name)["sent"] == first.sink(name)["dropped"] == 0
        assert any(note.startswith(f"{name}: it did") for note in first.report["notes"]), first.report["notes"]
        assert all(KEY not in file.read_text() for file in (state / "spool" / "local" / name).glob("*.json"))

    newrelic.mode = "up"
    second = runner.run(*QUICK, state=state, env=newrelic.environment)
    assert second.code == 0, second.story()
    assert newrelic.complaints == []
    for name, values in zip(WAYS, (newrelic.attributes, newrelic.values), strict=True):
        assert second.sink(name)["spooled"] == second.sink(name)["dropped"] == 0
        assert values("smoke_test.success", check="api") == [1.0, 1.0]
        durations = [first.report["duration_s"], second.report["duration_s"]]
        assert values("smoke_test.duration", check="_run") == pytest.approx(durations, abs=0.01)
