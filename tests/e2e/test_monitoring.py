"""What a run tells a monitoring service, and that no service, however broken, is in its way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.e2e.harness import ROOT, Ran, Runner
from tests.e2e.ui_harness import ui_of
from tests.monitoring.datadog_server import KEY, DatadogServer, Mode, datadog_server
from tests.waiting import until

QUICK = ("--no-browser", "--check", "api", "--check", "health")


@pytest.fixture
def datadog() -> Iterator[DatadogServer]:
    with datadog_server() as server:
        yield server


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run(runner: Runner, server: DatadogServer, state: Path) -> Ran:
    return runner.run(*QUICK, state=state, env=server.environment)


def let_a_second_pass() -> None:
    """A series keeps one value a second, and these runs take less."""
    time.sleep(1.1)


def test_a_run_tells_all_that_it_has_found(runner: Runner, datadog: DatadogServer, state: Path) -> None:
    ran = run(runner, datadog, state)
    assert ran.code == 0, ran.story()
    assert datadog.complaints == []
    assert ran.sink("datadog")["spooled"] == ran.sink("datadog")["dropped"] == 0
    assert ran.sink("datadog")["sent"] >= len(datadog.points) > 20
    assert set(datadog.came.values()) == {1}
    everywhere = ("env:local", "region:local", "mode:run")
    assert datadog.values("smoke_test.success", "check:api", *everywhere) == [1.0]
    assert datadog.values("smoke_test.success", "check:health", "version:1.2.3", *everywhere) == [1.0]
    assert datadog.values("smoke_test.success") == [1.0, 1.0]
    assert datadog.values("smoke_test.blind") == [0.0, 0.0]
    assert datadog.values("smoke_test.db_query_time", "check:health") == [4.2]
    assert datadog.values("smoke_test.duration", "check:_run") == [pytest.approx(ran.report["duration_s"], abs=0.01)]
    times = [ran.step("health", step["name"])["judged_ms"] for step in ran.checks["health"]["steps"]]
    judged = [time for time in times if time is not None]
    assert datadog.values("smoke_test.api_response", "check:health") == [
        pytest.approx(sum(judged) / len(judged), abs=0.01)
    ]
    assert 0 < datadog.values("smoke_test.budget_used")[0] < 10
    assert datadog.units["smoke_test.api_response"] == "millisecond"
    assert f"datadog: sent {ran.sink('datadog')['sent']}, spooled 0, dropped 0" in ran.stdout
    assert KEY not in ran.stdout + ran.stderr + ran.json_file.read_text()
    Draft202012Validator(json.loads((ROOT / "docs" / "run-report.schema.json").read_text())).validate(ran.report)


# what else a service may do is tried within one process, see tests/monitoring/test_outbox.py
@pytest.mark.parametrize(
    "mode", ["hang", *(pytest.param(mode, marks=pytest.mark.release) for mode in ("drip", "take and cut"))]
)
def test_what_a_service_does_not_take_is_there_after_the_next_run_once(
    runner: Runner, datadog: DatadogServer, state: Path, mode: Mode
) -> None:
    datadog.mode = mode
    first = run(runner, datadog, state)
    assert first.code == 0, first.story()
    assert datadog.requests > 0
    assert first.sink("datadog")["sent"] == first.sink("datadog")["dropped"] == 0
    assert first.sink("datadog")["spooled"] > 30
    assert any(note.startswith("datadog: ") for note in first.report["notes"]), first.story()
    files = list((state / "spool" / "local" / "datadog").glob("*.json"))
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * len(files)
    assert all(KEY not in file.read_text() for file in files)

    let_a_second_pass()
    datadog.mode = "up"
    second = run(runner, datadog, state)
    assert second.code == 0, second.story()
    assert datadog.complaints == []
    assert second.sink("datadog")["spooled"] == second.sink("datadog")["dropped"] == 0
    assert second.sink("datadog")["sent"] > first.sink("datadog")["spooled"]
    assert not list((state / "spool" / "local" / "datadog").glob("*.json"))
    # of both runs everything, each in its own second
    assert datadog.values("smoke_test.success") == [1.0] * 4
    assert len(datadog.values("smoke_test.duration", "check:_run")) == 2
    twice = set(datadog.came.values()) != {1}
    assert twice == (mode == "take and cut")  # what was cut off has come again, and counts once


@pytest.mark.release
def test_a_service_that_is_down_from_the_start(runner: Runner, state: Path) -> None:
    with datadog_server() as server:
        gone = server
    first = runner.run(*QUICK, state=state, env=gone.environment)
    assert first.code == 0, first.story()
    assert first.sink("datadog")["spooled"] > 30
    assert any("no connection" in note for note in first.report["notes"])
    let_a_second_pass()
    with datadog_server(gone.server_address[1]) as server:
        second = run(runner, server, state)
        assert second.sink("datadog")["spooled"] == 0, second.story()
        assert server.values("smoke_test.success") == [1.0] * 4


def test_what_it_refuses_for_good_is_dropped_and_said(runner: Runner, datadog: DatadogServer, state: Path) -> None:
    datadog.mode = 400
    ran = run(runner, datadog, state)
    assert ran.code == 0, ran.story()
    assert ran.sink("datadog")["dropped"] > 30
    assert ran.sink("datadog")["sent"] == ran.sink("datadog")["spooled"] == 0
    assert any("HTTP 400" in note for note in ran.report["notes"])


@pytest.mark.release
@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_no_service_holds_up_the_end_of_a_run(runner: Runner, datadog: DatadogServer, state: Path, mode: Mode) -> None:
    without = min((runner.run(*QUICK) for _ in range(2)), key=lambda ran: ran.besides_s)
    datadog.mode = mode
    ran = min((run(runner, datadog, state) for _ in range(2)), key=lambda ran: ran.besides_s)
    assert ran.code == without.code == 0, ran.story()
    added_s = ran.besides_s - without.besides_s
    assert added_s < 2.0 + 1.5, ran.story()  # the rest is what a busy machine makes of importing the client


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"SMOKEPROBE_MONITORING": "datdog"}, "did you mean datadog?"),
        ({"SMOKEPROBE_MONITORING": "datadog"}, "Set one of DD_DOGSTATSD_URL, DD_AGENT_HOST, DD_API_KEY."),
        (
            {"SMOKEPROBE_MONITORING": "datadog", "DD_API_KEY": KEY, "DATADOG_HOST": "http://metrics.example"},
            "the key goes over https only",
        ),
        ({"SMOKEPROBE_MONITORING": "newrelic", "NEW_RELIC_HOST": "x"}, "Set one of NEW_RELIC_LICENSE_KEY."),
        (
            {"SMOKEPROBE_MONITORING": "newrelic", "NEW_RELIC_LICENSE_KEY": KEY, "NEW_RELIC_HOST": "http://x.example"},
            "NEW_RELIC_HOST: the key goes over https only",
        ),
    ],
)
def test_a_wish_that_cannot_be_met_is_said_before_anything_is_sent(
    runner: Runner, environment: dict[str, str], says: str
) -> None:
    ran = runner.run(*QUICK, env=environment)
    assert ran.code == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert runner.target.ledger() == []


@pytest.mark.release
def test_a_web_ui_tells_after_each_run_and_again_once_what_waited(
    runner: Runner, datadog: DatadogServer, ui_config: Path
) -> None:
    runner.env.update(datadog.environment)
    with ui_of(runner, ui_config, "--no-browser") as ui:
        ui.run_all()
        assert until(lambda: datadog.values("smoke_test.success", "mode:ui", "check:api")), ui.log.read_text()
        datadog.mode = 500
        ui.run_all()
        assert until(lambda: ui.board()["sinks"]["datadog"]["spooled"] > 0), ui.log.read_text()
        datadog.mode = "up"
        assert until(lambda: len(datadog.values("smoke_test.success", "check:api")) == 2), ui.log.read_text()
        assert until(lambda: ui.board()["sinks"]["datadog"]["spooled"] == 0), ui.log.read_text()
        ui.end()
    assert set(datadog.came.values()) == {1}
    assert datadog.complaints == []


def test_credentials_alone_send_nothing(runner: Runner, datadog: DatadogServer, state: Path) -> None:
    environment = {name: value for name, value in datadog.environment.items() if not name.startswith("SMOKEPROBE")}
    ran = runner.run(*QUICK, state=state, env=environment)
    assert ran.code == 0, ran.story()
    assert json.loads(ran.json_file.read_text())["sinks"] == {}
    assert datadog.requests == 0
