"""Locust's web UI and its REST calls: whoever presses what and how often, each check runs once at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import (
    CHECKS,
    LOCUST,
    ROOT,
    Runner,
    assert_recognisable,
    assert_under_ceiling,
    write_config,
)
from tests.ports import free_port
from tests.waiting import until


@dataclass
class WebUI:
    """A plain Locust with its web UI, probing for ever."""

    process: subprocess.Popen[str]
    url: str
    report: Path

    def call(self, path: str, data: bytes | None = None, kind: str = "application/json") -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind})  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, b""

    def start(self, users: int) -> None:
        form = urllib.parse.urlencode({"user_count": users, "spawn_rate": 1000}).encode()
        status, said = self.call("/swarm", form, "application/x-www-form-urlencoded")
        assert (status, json.loads(said)["success"]) == (200, True)

    def users(self) -> int:
        return int(json.loads(self.call("/stats/requests")[1])["user_count"])

    def is_up(self) -> bool:
        try:
            return self.call("/stats/requests")[0] == 200
        except OSError:
            return False

    def end(self, number: signal.Signals) -> dict[str, Any]:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        assert self.process.returncode == 128 + number, said
        report: dict[str, Any] = json.loads(self.report.read_text())
        return report


@pytest.fixture
def web_ui(runner: Runner, tmp_path: Path) -> Iterator[WebUI]:
    config = write_config(
        tmp_path / "continuous.yaml",
        {
            "run": {"attempts": 1, "timeout": "4s"},
            "limits": {"api": {"allows": "6000 per 60s"}},
            "checks": {check: {"enabled": False} for check in CHECKS} | {"health": {"timeout": "2s", "every": "1s"}},
        },
    )
    port = free_port()
    report = tmp_path / "report.json"
    line = [LOCUST, "-f", str(ROOT / "locustfiles" / "production_smoke.py"), "--smoke-config", str(config)]
    line += ["--target-url", runner.target.url, "--state-dir", str(tmp_path / "state"), "--report-json", str(report)]
    line += ["--no-browser", "--web-host", "127.0.0.1", "--web-port", str(port)]
    process = subprocess.Popen(
        line, env=runner.environment(), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    started = WebUI(process, f"http://127.0.0.1:{port}", report)
    try:
        assert until(lambda: started.is_up() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield started
    finally:
        process.kill()
        process.communicate()


def health_calls(target: StandIn) -> int:
    return sum(entry["path"] == "/health" for entry in target.ledger())


def test_starting_again_and_again_changes_nothing(target: StandIn, web_ui: WebUI) -> None:
    web_ui.start(1)
    web_ui.start(1000)
    assert until(lambda: health_calls(target) >= 1)
    assert web_ui.users() <= len(CHECKS)
    web_ui.call("/stop", b"")
    web_ui.start(1000)
    assert until(lambda: health_calls(target) >= 5)  # for longer than a run's own time
    assert web_ui.users() <= len(CHECKS)

    def cell() -> dict[str, Any]:
        (found,) = json.loads(web_ui.call("/smoke/board.json")[1])["cells"]
        return dict(found)

    assert (cell()["check"], cell()["outcome"], len(cell()["runs"]) > 1) == ("health", "passed", True)

    assert until(lambda: cell()["age_s"] < 0.3)  # between two of them, as one that is cut off has not passed
    report = web_ui.end(signal.SIGINT)

    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes == dict.fromkeys(CHECKS, "skipped") | {"health": "passed"}
    times = sorted(entry["t"] for entry in target.ledger() if entry["path"] == "/health")
    spacings = sorted(later - earlier for earlier, later in pairwise(times))
    assert spacings[1] > 0.5, times  # one tick may follow at once, after the stop
    assert_under_ceiling(target)
    assert_recognisable(target)


def test_the_rest_calls_change_neither_number_nor_rate(target: StandIn, web_ui: WebUI) -> None:
    def change(**settings: object) -> int:
        return web_ui.call("/user", json.dumps({"user_class_name": "HealthProbe", **settings}).encode())[0]

    assert change(fixed_count=500) == 201
    assert change(wait_time=0) == 500
    assert change(check="login") == 500
    web_ui.start(1000)
    assert until(lambda: health_calls(target) >= 3)
    assert web_ui.users() <= len(CHECKS)
    assert {entry["path"] for entry in target.ledger()} <= {"/health", "/api/v1/health", "/api/v1/status"}
    times = sorted(entry["t"] for entry in target.ledger() if entry["path"] == "/health")
    assert times[1] - times[0] > 0.5
    web_ui.end(signal.SIGTERM)


def test_before_anybody_starts_a_hang_up_ends_it(target: StandIn, web_ui: WebUI) -> None:
    report = web_ui.end(signal.SIGHUP)

    assert {check["outcome"] for check in report["checks"]} == {"skipped"}
    assert target.ledger() == []
