"""The plain `locust` command does the same run, and nobody can make it more."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import (
    CHECKS,
    LOCUST,
    ROOT,
    SHORT,
    Runner,
    assert_left_nothing,
    assert_recognisable,
    assert_under_ceiling,
    write_config,
)
from tests.waiting import until


def locust(
    runner: Runner, folder: Path, *arguments: str, file: str = "production_smoke.py", once: bool = True
) -> list[str]:
    conf = ("--config", str(ROOT / "config" / "locust" / "scheduled.conf")) if once else ()
    return [
        *(LOCUST, "-f", str(ROOT / "locustfiles" / file), "--headless", *conf, "--env", "local"),
        *("--target-url", runner.target.url, "--state-dir", str(folder / "state")),
        *("--report-json", str(folder / "locust.json"), *arguments),
    ]


def run(
    runner: Runner, folder: Path, *arguments: str, file: str = "production_smoke.py", **env: str
) -> tuple[int, Any]:
    done = subprocess.run(
        locust(runner, folder, *arguments, file=file),
        env=runner.environment(**env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    report = folder / "locust.json"
    return done.returncode, json.loads(report.read_text()) if report.exists() else done.stdout + done.stderr


@pytest.mark.parametrize(("fault", "code"), [("", 0), ("test-500", 1), ("throttled-no-retry-after", 3)])
def test_the_exit_codes_are_those_of_a_run(
    fault: str, code: int, target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    target.set_faults(*filter(None, [fault]))

    ended, report = run(runner, tmp_path, "--no-browser")

    assert ended == code, report
    assert report["exit_code"] == code
    assert {check["name"] for check in report["checks"]} == set(CHECKS)
    assert_under_ceiling(target)
    assert_recognisable(target)
    assert_left_nothing(target)


def test_a_wrong_configuration_sends_nothing(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    ended, said = run(runner, tmp_path, "--no-browser", SMOKE_TEST_PASSWORD="")

    assert ended == 2, said
    assert "SMOKE_TEST_PASSWORD" in str(said["notes"])
    assert target.ledger() == []


def test_with_the_browser(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    ended, report = run(runner, tmp_path)

    assert ended == 0, report
    assert {check["outcome"] for check in report["checks"]} == {"passed"}
    assert {
        *(f"homepage.{name}" for name in ("load_ms", "ttfb_ms", "fcp_ms", "lcp_ms", "cls")),
        *(f"health.{name}" for name in ("db_query_time_ms", "cache_hit_rate", "error_rate")),
    } <= set(report["metrics"])
    assert_left_nothing(target)


def test_a_thousand_users_change_nothing(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    ended, report = run(runner, tmp_path, "--no-browser", "-u", "1000", "-r", "1000")

    assert ended == 0, report
    paths = [entry["path"] for entry in target.ledger()]
    assert paths.count("/health") == 1
    assert paths.count("/api/v1/auth/login") == 1
    assert paths.count("/api/v1/enhance") == 1
    assert paths.count("/api/v1/test") == 2


def test_one_user_is_one_of_each_check(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    ended, report = run(runner, tmp_path, "--no-browser", "-u", "1")

    assert ended == 0, report
    assert {check["name"] for check in report["checks"]} == set(CHECKS)
    assert_left_nothing(target)


def test_classes_that_are_not_chosen_are_left_out(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    ended, report = run(runner, tmp_path, "HealthProbe")

    assert ended == 0, report
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes == dict.fromkeys(CHECKS, "skipped") | {"health": "passed"}
    assert report["duration_s"] < 20
    assert {entry["path"] for entry in target.ledger()} == {"/health", "/api/v1/health", "/api/v1/status"}


def test_locusts_own_end_fails_nothing(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    target.set_faults("hang")

    ended, report = run(runner, tmp_path, "--no-browser", "--run-time", "1s")

    assert ended == 3, report
    assert {check["outcome"] for check in report["checks"]} <= {"error", "skipped"}


def test_what_is_meant_for_locust_does_not_reach_a_run(runner: Runner) -> None:
    ran = runner.run(
        *("--no-browser", "--check", "api"),
        env={"LOCUST_RUN_TIME": "1s", "LOCUST_USER_CLASSES": "HealthProbe", "LOCUST_TAGS": "none"},
    )

    assert ran.code == 0, ran.story()
    assert ran.outcome("api") == "passed"
    assert re.search(r"^api +started$", ran.stdout, re.MULTILINE), "without a terminal there are plain lines"


EMPTY = {"SMOKEPROBE_ALLOW_DEGRADED": "", "SMOKEPROBE_REGION": "", "SMOKEPROBE_SHARE": " ", "SMOKEPROBE_HTML_FILE": ""}


@pytest.mark.parametrize("plain", [False, True])
def test_the_environment_means_the_same_to_both(plain: bool, runner: Runner, tmp_path: Path) -> None:
    env = {**EMPTY, "SMOKEPROBE_NO_BROWSER": "", "SMOKEPROBE_CHECK": "health  enhancement"}
    if plain:
        ended, report = run(runner, tmp_path, **env)
    else:
        ran = runner.run(env=env)
        ended, report = ran.code, ran.report

    assert ended == 0, report
    passed = {check["name"] for check in report["checks"] if check["outcome"] == "passed"}
    assert passed == {"health", "enhancement"}


def test_the_health_checks_alone(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    ended, report = run(runner, tmp_path, file="production_health_checks.py")

    assert ended == 0, report
    assert {entry["path"] for entry in target.ledger()} == {"/health", "/api/v1/health", "/api/v1/status"}


@pytest.mark.release
def test_a_browser_is_gone_when_its_next_use_is_far_away(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    roomy = {"limits": {"api": {"allows": "6000 per 60s"}}}
    config = write_config(tmp_path / "page.yaml", roomy, {"checks": {"homepage": {"every": "75s"}}})
    line = locust(runner, tmp_path, "--smoke-config", str(config), "--check", "homepage", once=False)
    process = subprocess.Popen(line, env=runner.environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    family = psutil.Process(process.pid)
    try:
        seen = until(lambda: any(entry["path"] == "/" for entry in target.ledger()))
        there = bool(family.children(recursive=True))
        gone = until(lambda: not family.children(recursive=True), 45)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=15)
    finally:
        process.kill()
    assert (seen, there, gone, process.returncode) == (True, True, True, 143), said


def test_continuous_runs_keep_to_the_ceiling(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "continuous.yaml",
        {
            "run": {"attempts": 1, "timeout": "10s"},
            "limits": {"api": {"allows": "6000 per 60s"}},
            "checks": SHORT | {"health": {"timeout": "2s", "every": "1s"}},
        },
    )
    line = locust(
        runner, tmp_path, "-u", "1000", "--smoke-config", str(config), "--no-browser", "--check", "health", once=False
    )
    process = subprocess.Popen(
        line, env=runner.environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        ticked = until(lambda: sum(entry["path"] == "/health" for entry in target.ledger()) >= 3)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=15)
    finally:
        process.kill()

    assert ticked, stdout + stderr
    assert process.returncode == 143, stdout + stderr
    assert_under_ceiling(target)
    assert_recognisable(target)
