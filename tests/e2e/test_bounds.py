"""A run ends in time and stays small, and a browser that breaks is the probe's trouble, never the target's."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import CHECKS, SHORT, Runner, Running, assert_in_time, assert_left_nothing, write_config
from tests.waiting import until

HTTP_CHECKS = ("health", "enhancement", "api")
MEGABYTE = 1024 * 1024


def chromium_of(running: Running) -> list[psutil.Process]:
    found = []
    for each in running.family():
        try:
            if "chrom" in each.name():
                found.append(each)
        except psutil.NoSuchProcess:
            continue
    return found


def assert_only_the_browser_failed(ran_code: int, outcomes: dict[str, str]) -> None:
    assert ran_code == 3
    assert outcomes == dict.fromkeys(HTTP_CHECKS, "passed") | {"homepage": "error", "login": "error"}


@pytest.mark.parametrize("fault", ["big-body", "gzip-bomb"])
def test_a_body_without_end_takes_neither_time_nor_memory(fault: str, target: StandIn, runner: Runner) -> None:
    target.set_faults(fault)
    peaks = [0]
    with runner.started("--no-browser", "--check", "health") as running:
        process = psutil.Process(running.process.pid)

        def watch() -> None:
            while running.process.poll() is None:
                try:
                    peaks.append(process.memory_info().rss)
                except psutil.NoSuchProcess:
                    return
                time.sleep(0.005)

        watcher = threading.Thread(target=watch)
        watcher.start()
        ran = running.end()
        watcher.join()

    assert ran.code == 1
    assert "1 MiB" in ran.reason("health")
    assert max(peaks) < 200 * MEGABYTE
    assert ran.report["duration_s"] < 10


def test_a_run_ends_within_its_own_time(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    config = write_config(tmp_path / "short.yaml", {"run": {"timeout": "10s"}, "checks": SHORT})
    target.set_faults("hang")

    ran = runner.run(config=config)

    assert ran.code == 1, ran.story()
    assert_in_time(ran, 11.0)
    assert ran.outcome("api") == "failed"
    assert {ran.outcome(check) for check in CHECKS} <= {"failed", "skipped"}  # what the hung ones left no time for


@pytest.mark.release
@pytest.mark.parametrize("faults", [("hang",), ("slow-drip-body", "login-then-silence", "page-never-loads")])
def test_a_run_of_30_s_ends_by_31_s(faults: tuple[str, ...], target: StandIn, runner: Runner) -> None:
    target.set_faults(*faults)

    ran = runner.run()

    assert ran.code == 1, ran.story()
    assert_in_time(ran)
    assert len(ran.checks) == len(CHECKS)


def test_without_a_browser_the_other_checks_are_judged(runner: Runner, tmp_path: Path) -> None:
    nowhere = {"SMOKEPROBE_CHROMIUM": "/nonexistent", "PATH": "/nonexistent", "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}

    ran = runner.run(env=nowhere)

    assert_only_the_browser_failed(ran.code, {check: ran.outcome(check) for check in CHECKS})
    assert ran.layer("homepage") == ran.layer("login") == "browser"


@pytest.mark.release
def test_without_a_folder_for_temporary_files_the_other_checks_are_judged(runner: Runner, tmp_path: Path) -> None:
    nowhere = (
        # root may write anywhere
        f"import tempfile\ntempfile._candidate_tempdir_list = lambda: ['{tmp_path}/none']\n"
    )
    (tmp_path / "sitecustomize.py").write_text(nowhere)

    ran = runner.run(env={"PYTHONPATH": str(tmp_path)})

    assert_only_the_browser_failed(ran.code, {check: ran.outcome(check) for check in CHECKS})
    assert "no folder for its temporary files" in ran.reason("homepage")
    assert "TMPDIR" in ran.reason("homepage")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGSTOP, id="stopped", marks=pytest.mark.release)],
)
def test_a_browser_that_dies_or_hangs(number: signal.Signals, target: StandIn, runner: Runner, tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "short.yaml",
        {"checks": {"homepage": {"timeout": "5s", "attempts": 1}, "login": {"timeout": "6s", "attempts": 1}}},
    )
    ended = threading.Event()
    with runner.started(config=config) as running:

        def strike() -> None:
            while not ended.wait(0.02):
                for each in chromium_of(running):
                    try:
                        each.send_signal(number)
                    except psutil.NoSuchProcess:
                        continue

        striker = threading.Thread(target=strike)
        assert until(lambda: chromium_of(running))
        striker.start()
        try:
            ran = running.end()
        finally:
            ended.set()
            striker.join()

    assert_only_the_browser_failed(ran.code, {check: ran.outcome(check) for check in CHECKS})
    assert ran.layer("homepage") == ran.layer("login") == "browser"
    assert_in_time(ran)
    assert_left_nothing(target)


@pytest.mark.release
def test_a_program_that_is_no_browser(runner: Runner, tmp_path: Path) -> None:
    crashing = tmp_path / "chromium"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o755)

    ran = runner.run(env={"SMOKEPROBE_CHROMIUM": str(crashing)})

    assert_only_the_browser_failed(ran.code, {check: ran.outcome(check) for check in CHECKS})
    assert ran.layer("homepage") == "browser"


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.release), True])
def test_no_browser_outlives_its_run(killed: bool, target: StandIn, runner: Runner) -> None:
    with runner.started() as running:
        assert until(lambda: any(entry["path"] == "/" for entry in target.ledger()))
        family = running.family()
        if killed:
            os.kill(running.process.pid, signal.SIGKILL)
            running.process.wait()
        else:
            assert running.end().code == 0
        assert until(lambda: not [each for each in family if alive(each)], 10)


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
