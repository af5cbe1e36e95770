"""`smokeprobe monitoring send-test`, as its user starts it."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from probes import send_test as send_test_module
from probes.monitoring.datadog import Api
from probes.options import RunOptions
from probes.send_test import send_tests
from tests.e2e.harness import SMOKEPROBE
from tests.monitoring.cloudwatch_server import SECRET, TOKEN, cloudwatch_server, tags_of
from tests.monitoring.datadog_server import KEY, datadog_server
from tests.monitoring.newrelic_server import KEY as NEW_RELIC_KEY
from tests.monitoring.newrelic_server import newrelic_server
from tests.monitoring.otlp_server import otlp_server
from tests.monitoring.prometheus_servers import get, pushgateway


def send_test(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SMOKE", "DD_", "DATADOG", "NEW_RELIC", "AWS_"))
    }
    line = [SMOKEPROBE, "monitoring", "send-test", "--env", "local", *arguments]
    return subprocess.run(
        line, env={**kept, "COLUMNS": "200", **environ}, capture_output=True, text=True, check=False, timeout=50
    )


def test_datadog_takes_it() -> None:
    with datadog_server() as server:
        done = send_test(**server.environment)
        assert done.returncode == 0, done.stderr
        assert server.complaints == []
        ((name, tags, _),) = server.points
    assert (name, "mode:test" in tags) == ("smoke_test.test", True)
    assert done.stdout.startswith("datadog: smoke_test.test = ")
    assert KEY not in done.stdout + done.stderr


def test_datadog_does_not_take_it() -> None:
    with datadog_server() as server:
        server.mode = 403
        done = send_test(**server.environment)
    assert done.returncode == 1
    assert done.stdout == "datadog: not taken: HTTP 403: it does not take the key: is DD_API_KEY of this site?\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("asks", [True, False])
def test_new_relic_takes_it_both_ways_and_is_asked_where_it_can_be(tmp_path: Path, asks: bool) -> None:
    with newrelic_server(tmp_path) as server:
        done = send_test(**server.environment, **(server.asking if asks else {}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.complaints == []
    told = "handed over, and read back" if asks else "handed over; look for it there: it does not tell, or not yet"
    events, metrics = done.stdout.splitlines()
    assert (events.split(": ")[0], metrics.split(": ")[0]) == ("newrelic", "newrelic_metrics")
    assert events.endswith(told)
    assert metrics.endswith(told)
    assert NEW_RELIC_KEY not in done.stdout + done.stderr


def test_new_relic_does_not_take_it(tmp_path: Path) -> None:
    with newrelic_server(tmp_path) as server:
        done = send_test(**{**server.environment, "NEW_RELIC_LICENSE_KEY": "0" * 40})
    assert done.returncode == 1
    assert done.stdout.count("it does not take the key: is NEW_RELIC_LICENSE_KEY") == 2
    assert "Traceback" not in done.stderr
    assert "0000000" not in done.stdout + done.stderr


def told(environ: dict[str, str]) -> tuple[int, str]:
    """As the command, but within this process."""
    shown = io.StringIO()
    return send_tests(RunOptions(env="local"), environ, Console(file=shown, width=200)), shown.getvalue()


def test_one_that_drips_for_ever_keeps_nobody_waiting_and_the_others_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_test_module, "LONGEST_S", 1.0)
    with datadog_server() as datadog, otlp_server() as otlp:
        datadog.mode = "drip"
        asked = {**datadog.environment, **otlp.environment, "SMOKEPROBE_MONITORING": "datadog otlp"}
        code, shown = told(asked)
        assert code == 1
        assert len(otlp.points) == 1
    first, second = shown.splitlines()
    assert first == "datadog: not known: it has not answered in 1 s"
    assert second.startswith("otlp: smoke_test.test = ")


def test_what_a_service_raises_is_said_and_the_others_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_it(*_: object) -> None:
        raise RuntimeError("its text may show a key")

    monkeypatch.setattr(Api, "send", raise_it)
    with otlp_server() as otlp:
        environ = {**otlp.environment, "DD_API_KEY": KEY, "SMOKEPROBE_MONITORING": "datadog otlp"}
        code, shown = told(environ)
    first, second = shown.splitlines()
    assert (code, first) == (1, "datadog: not taken: RuntimeError while sending")
    assert second.startswith("otlp: smoke_test.test = ")


@pytest.mark.slow
def test_a_pushgateway_is_asked_for_it_and_keeps_nothing(tmp_path: Path) -> None:
    with pushgateway(tmp_path) as url:
        done = send_test(SMOKEPROBE_MONITORING="prometheus", SMOKEPROBE_PUSHGATEWAY_URL=url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "read back" in done.stdout
        assert "smoke_test_test" not in get(f"{url}/metrics")


def test_cloudwatch_is_asked_for_it(moto: tuple[str, int]) -> None:
    with cloudwatch_server(moto) as server:
        done = send_test(**server.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.complaints == []
        (datum,) = server.put
    assert (datum["MetricName"], tags_of(datum)["mode"]) == ("smoke_test.test", "test")
    assert done.stdout.startswith("cloudwatch: smoke_test.test = ")
    assert "read back" in done.stdout
    assert not [key for key in (SECRET, TOKEN) if key in done.stdout + done.stderr]


def test_without_a_service_it_says_what_to_do() -> None:
    done = send_test()
    assert done.returncode == 2
    assert "No monitoring service is used in local" in done.stderr
    assert "SMOKEPROBE_MONITORING" in done.stderr
