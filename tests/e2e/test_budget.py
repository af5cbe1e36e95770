"""The ceiling, from the target's side: several runs at once, one after the other, in bad places and at odd times."""

from __future__ import annotations

import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from probes.safety.ledger import open_ledger
from probes.standin.process import StandIn
from tests.e2e.harness import (
    CHECKS,
    SHORT,
    SMOKEPROBE,
    Runner,
    assert_left_nothing,
    assert_under_ceiling,
    write_config,
)
from tests.waiting import until

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
IN_OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-ec")


def sessions_of(target: StandIn) -> list[tuple[float, float]]:
    """From each log-in to the log-out that ended it, by the run that did both."""
    opened: dict[str, float] = {}
    spans = []
    for entry in target.ledger():
        if entry["path"] == "/api/v1/auth/login":
            opened[entry["run"]] = entry["t"]
        elif entry["path"] == "/api/v1/auth/logout":
            spans.append((opened.pop(entry["run"]), entry["t"]))
    assert not opened
    return sorted(spans)


def command(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SMOKEPROBE, *arguments, "--state-dir", str(state)], capture_output=True, text=True, check=True
    )


def test_two_runs_at_once_share_one_ceiling_and_one_account(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"

    with ThreadPoolExecutor() as pool:
        both = [pool.submit(runner.run, "--no-browser", state=state) for _ in range(2)]
        ran = [one.result() for one in both]

    assert [one.code for one in ran] == [0, 0], ran[0].story() + ran[1].story()
    assert_under_ceiling(target)
    assert_left_nothing(target)
    spans = sessions_of(target)
    assert len(spans) == 2
    assert all(first_out <= second_in for (_, first_out), (second_in, _) in pairwise(spans))


def test_run_after_run_until_there_is_no_budget(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    config = write_config(tmp_path / "short.yaml", {"run": {"timeout": "12s"}, "checks": SHORT})

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(runner.run, "--no-browser", "--check", "api", state=state, config=config) for _ in range(6)]
        ran = [one.result() for one in runs]

    codes = [one.code for one in ran]
    assert set(codes) == {0, 3}, ran[-1].story()
    refused = [one for one in ran if one.code == 3]
    assert all(one.outcome("api") == "skipped" and "no budget" in one.reason("api") for one in refused)
    assert all(one.report["requests"]["sent"] == 0 for one in refused)
    assert_under_ceiling(target)


def assert_nothing_sent(ran_code: int, target: StandIn) -> None:
    assert ran_code == 3
    assert target.ledger() == []


@pytest.mark.parametrize("browser", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_file_where_the_state_directory_should_be(
    browser: bool, target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    ran = runner.run(*(() if browser else ("--no-browser",)), state=tmp_path / "file")

    assert_nothing_sent(ran.code, target)
    assert {ran.outcome(check) for check in CHECKS if browser or check != "homepage"} == {"error"}
    assert "ledger" in ran.reason("health")


needs_root = pytest.mark.slow


@needs_root
def test_a_read_only_state_directory(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert runner.run("--no-browser", "--check", "health", state=state).code == 0
    target.reset()
    script = f'mount --bind "{state}" "{state}"; mount -o remount,bind,ro "{state}"; exec "$@"'

    ran = runner.run("--no-browser", state=state, prefix=(*IN_OWN_MOUNTS, script, "sh"))

    assert_nothing_sent(ran.code, target)
    assert {ran.outcome(check) for check in CHECKS if check != "homepage"} == {"error"}


@needs_root
def test_a_full_state_directory(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    script = f'mount -t tmpfs -o size=16k tmpfs "{state}"; cat /dev/zero > "{state}/full" || true; exec "$@"'

    ran = runner.run("--no-browser", state=state, prefix=(*IN_OWN_MOUNTS, script, "sh"))

    assert_nothing_sent(ran.code, target)
    assert {ran.outcome(check) for check in CHECKS if check != "homepage"} == {"error"}


def test_paused_by_hand_nothing_is_sent(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    command("pause", "--why", "maintenance at the target", state=state)

    paused = runner.run("--no-browser", state=state)
    assert_nothing_sent(paused.code, target)
    assert "maintenance at the target" in paused.reason("health")

    command("resume", state=state)
    assert runner.run("--no-browser", state=state).code == 0


def test_a_pause_by_hand_during_a_run_lets_it_log_out(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    target.set_faults("logout-slow")
    with runner.started("--check", "login", state=state) as running:
        assert until(lambda: any(entry["path"] == "/api/v1/auth/logout" for entry in target.ledger()))
        open_ledger(state).pause(None, None, "by hand", "hand")  # at once: a command's process may start too late
        ran = running.end()

    assert ran.code == 3, ran.story()
    assert (ran.outcome("login"), ran.layer("login")) == ("skipped", "budget")
    assert ran.step("login", "log-out-proof")["outcome"] == "passed"
    assert target.state()["logins"]["basic"] == 1
    assert_left_nothing(target)


def test_a_pause_by_the_targets_owner_stops_other_runs_and_resume_does_not_lift_it(
    target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    target.set_faults("pause-header")

    assert runner.run("--no-browser", state=state).code == 3
    asked = len(target.ledger())
    command("resume", state=state)
    ran = runner.run("--no-browser", state=state)

    assert asked == 1
    assert ran.code == 3
    assert "the target's owner" in ran.reason("health")
    assert len(target.ledger()) == asked


def test_a_pause_that_another_process_was_told_of(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    slow_retries = {
        "run": {"backoff": {"first": "4s", "longest": "8s"}},
        "checks": SHORT | {"health": {"timeout": "20s", "every": "5m"}},
    }
    config = write_config(tmp_path / "patient.yaml", slow_retries)
    target.set_faults("edge-503")
    with runner.started("--no-browser", "--check", "health", state=state, config=config) as running:
        assert until(lambda: len(target.ledger()) == 2)  # it will try the second call once more
        open_ledger(state).pause(target.url, 120, "enough for now", "target")
        ran = running.end()

    assert ran.code == 1, ran.story()
    assert "enough for now" in ran.step("health", "status")["reason"]["text"]
    assert len(target.ledger()) == 2


def test_the_next_run_keeps_to_retry_after(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    target.set_faults("throttled-no-retry-after")
    assert runner.run("--no-browser", "--check", "api", state=state).code == 3
    target.set_faults()

    ran = runner.run("--no-browser", "--check", "api", state=state)

    assert ran.code == 3
    assert "asked to slow down" in ran.reason("api")
    assert len(target.ledger()) == 1


def test_a_limit_that_the_target_lowers_lowers_the_ceiling(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    config = write_config(tmp_path / "short.yaml", {"run": {"timeout": "12s"}, "checks": SHORT})
    target.set_faults("ratelimit-lowered")

    ran = [runner.run("--no-browser", "--check", "api", state=state, config=config) for _ in range(3)]

    assert [one.code for one in ran] == [0, 3, 3], ran[-1].story()
    limits = {limit["name"]: limit for limit in ran[0].report["rate_limits"]}
    assert (limits["test"]["limit"], limits["test"]["ceiling"]) == (50, 4)
    assert len(target.ledger()) * 10 < 50


@needs_root
@pytest.mark.parametrize("jump", ["-1d", "+1d"])
def test_a_clock_that_is_set_back_or_forward(jump: str, target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    config = write_config(tmp_path / "short.yaml", {"run": {"timeout": "12s"}, "checks": SHORT})
    arguments = ("--no-browser", "--check", "api")
    assert runner.run(*arguments, state=state, config=config).code == 0
    env = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": jump, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    codes = [runner.run(*arguments, state=state, config=config, env=env).code for _ in range(4)]
    codes += [runner.run(*arguments, state=state, config=config).code]

    assert 3 in codes
    assert set(codes) <= {0, 3}
    assert_under_ceiling(target)


@needs_root
def test_a_reboot_between_runs_forgets_nothing(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    config = write_config(tmp_path / "short.yaml", {"run": {"timeout": "12s"}, "checks": SHORT})
    boot_id = tmp_path / "boot_id"
    boot_id.write_text(f"{uuid.uuid4()}\n")
    script = f'mount --bind "{boot_id}" /proc/sys/kernel/random/boot_id; exec "$@"'
    arguments = ("--no-browser", "--check", "api")
    before = [runner.run(*arguments, state=state, config=config).code for _ in range(2)]

    after = [
        runner.run(*arguments, state=state, config=config, prefix=(*IN_OWN_MOUNTS, script, "sh")).code for _ in range(3)
    ]

    assert before == [0, 0]
    assert 3 in after
    assert_under_ceiling(target)
