"""Test accounts and their sessions: whatever happens, one login is enough to say so, and none stays open."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import (
    CHECKS,
    SHORT,
    Runner,
    assert_left_nothing,
    assert_under_ceiling,
    write_config,
)
from tests.waiting import until

LOGIN, LOGOUT = "/api/v1/auth/login", "/api/v1/auth/logout"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
EDGE_SECRET = "edge-secret-of-the-tests"


def posts(target: StandIn, path: str) -> int:
    return sum(entry["method"] == "POST" and entry["path"] == path for entry in target.ledger())


def seen(target: StandIn, path: str, times: int = 1) -> Callable[[], bool]:
    return lambda: sum(entry["path"] == path for entry in target.ledger()) >= times


def two_logins(folder: Path) -> Path:
    """A configuration in which two checks log in to one account."""
    again = {"kind": "login", "attempts": 2, "timeout": "2s", "every": "5m"}
    seldom = {"health": {"every": "1h"}}  # so that both logins fit under the ceiling
    return write_config(folder / "two.yaml", {"checks": SHORT}, {"checks": {**seldom, "login-again": again}})


def test_a_locked_account_is_the_probes_trouble_and_is_tried_once(
    target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    target.lock("basic", 600)

    ran = runner.run("--check", "login", "--check", "login-again", config=two_logins(tmp_path))

    assert ran.code == 3, ran.story()
    told = {ran.reason(check).partition(" until 20")[0] for check in ("login", "login-again")}
    locked = "log-in (account): no further login in this run: the account is locked or inactive"
    assert {text.partition(" [")[0] for text in told} == {"log-in (account): account locked", locked}
    assert ran.outcome("login") == ran.outcome("login-again") == "error"
    assert posts(target, LOGIN) == 1


def test_a_wrong_password_is_tried_once_in_the_whole_run(target: StandIn, runner: Runner) -> None:
    ran = runner.run(env={"SMOKE_TEST_PASSWORD": "not-the-password"})

    assert ran.code == 1, ran.story()
    assert ran.outcome("login") == "failed"
    assert {ran.outcome(check) for check in CHECKS if check != "login"} == {"passed"}
    assert target.state()["wrong_passwords"] == {"basic": 1, "premium": 0}
    assert posts(target, LOGIN) == 1


def test_a_wrong_password_is_tried_once_by_two_checks_of_one_account(
    target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    ran = runner.run("--no-browser", config=two_logins(tmp_path), env={"SMOKE_TEST_PASSWORD": "not-the-password"})

    assert ran.code == 1, ran.story()
    assert {ran.outcome("login"), ran.outcome("login-again")} == {"failed", "error"}
    assert target.state()["wrong_passwords"]["basic"] == 1
    assert posts(target, LOGIN) == 1


def test_without_a_password_nothing_is_sent_and_each_report_says_so(
    target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    page, summary = tmp_path / "report.html", tmp_path / "summary.md"

    ran = runner.run("--html-file", str(page), env={"SMOKE_TEST_PASSWORD": "", "GITHUB_STEP_SUMMARY": str(summary)})

    assert ran.code == ran.report["exit_code"] == 2
    assert "SMOKE_TEST_PASSWORD" in ran.stderr
    for written in ("".join(ran.report["notes"]), page.read_text(), summary.read_text().replace("&#95;", "_")):
        assert "SMOKE_TEST_PASSWORD" in written.replace("\\", "")
    assert target.ledger() == []


def test_without_a_password_the_other_checks_can_be_run(runner: Runner) -> None:
    ran = runner.run("--check", "health", "--check", "api", env={"SMOKE_TEST_PASSWORD": ""})

    assert ran.code == 0, ran.story()


@pytest.mark.parametrize("fault", ["logout-fails", "logout-does-nothing"])
def test_after_a_log_out_that_is_not_proved_there_is_no_further_login(
    fault: str, target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    target.set_faults(fault)
    state = tmp_path / "state"

    ran = runner.run("--check", "login", state=state)

    assert ran.code == 1, ran.story()
    assert ran.outcome("login") == "failed"
    assert posts(target, LOGIN) == 1
    (kept,) = (state / "sessions").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600

    target.set_faults()
    ran = runner.run("--check", "login", "--no-browser", state=state)

    assert ran.code == 0, ran.story()
    assert list((state / "sessions").iterdir()) == []
    assert_left_nothing(target)


MOMENTS = {
    "the first request": lambda target: bool(target.ledger()),
    "the log-in": lambda target: posts(target, LOGIN) >= 1,
    "the log-out": lambda target: posts(target, LOGOUT) >= 1,
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_the_run_in_order(number: signal.Signals, moment: str, target: StandIn, runner: Runner) -> None:
    target.set_faults("logout-slow")  # so that there is always something left to do

    with runner.started("--no-browser") as running:
        assert until(lambda: MOMENTS[moment](target))
        running.process.send_signal(number)
        ran = running.end(15)

    assert ran.code == 128 + number, ran.story()
    assert ran.report["exit_code"] == ran.code
    assert set(ran.checks) == set(CHECKS)
    assert until(lambda: set(target.state()["open_sessions"].values()) == {0}, 5), ran.story()
    assert_left_nothing(target)


def is_browser(process: psutil.Process) -> bool:
    """Whether this is a Chromium, and not one of its own helpers."""
    try:
        line = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return any(part.startswith("--remote-debugging") for part in line) and not any("--type=" in part for part in line)


@pytest.mark.parametrize(
    ("path", "times"),
    [
        (LOGIN, 2),
        *(pytest.param(*moment, marks=pytest.mark.slow) for moment in [("/login", 1), ("/dashboard", 1), (LOGOUT, 2)]),
    ],
)
def test_a_signal_while_a_page_is_logged_in(path: str, times: int, target: StandIn, runner: Runner) -> None:
    target.set_faults("logout-slow")

    with runner.started("--check", "login", "--check", "homepage") as running:
        assert until(seen(target, path, times), 20)
        browsers = [each for each in running.family() if is_browser(each)]
        running.process.send_signal(signal.SIGTERM)
        ran = running.end(15)
        left = [each for each in running.family() if each.is_running()]

    assert ran.code == 143, ran.story()
    assert len(browsers) == 1, "there is one browser for all pages"
    assert left == []
    assert until(lambda: set(target.state()["open_sessions"].values()) == {0}, 5), ran.story()
    assert_left_nothing(target)


def test_a_log_in_under_way_at_a_signal_is_ended(target: StandIn, runner: Runner) -> None:
    target.set_faults("login-slow")

    with runner.started("--no-browser", "--check", "login") as running:
        assert until(seen(target, LOGIN))
        running.process.send_signal(signal.SIGTERM)
        ran = running.end(15)

    assert ran.code == 143, ran.story()
    assert target.state()["logins"]["basic"] == 1
    assert posts(target, LOGOUT) == 1
    assert_left_nothing(target)


def test_the_pages_log_out_is_proved(target: StandIn, runner: Runner) -> None:
    target.set_faults("page-logout-does-nothing")

    ran = runner.run("--check", "login")

    assert ran.code == 1, ran.story()
    assert "web-log-out-proof (http): the log-out is not proved" in ran.reason("login")
    assert posts(target, LOGIN) == 2
    assert_left_nothing(target)  # what the page left open is ended over the API


def test_a_second_signal_changes_nothing(target: StandIn, runner: Runner) -> None:
    target.set_faults("logout-slow")

    with runner.started("--no-browser") as running:
        assert until(lambda: posts(target, LOGOUT) >= 1)
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        ran = running.end(15)

    assert ran.code == 130, ran.story()
    assert_left_nothing(target)


@pytest.mark.slow
def test_the_next_run_ends_a_session_that_a_killed_run_left_open(
    target: StandIn, runner: Runner, tmp_path: Path
) -> None:
    target.set_faults("logout-fails")  # its tries give the time to be killed in
    state = tmp_path / "state"
    with runner.started("--no-browser", "--check", "login", state=state) as running:
        assert until(lambda: posts(target, LOGOUT) >= 1)
        running.process.kill()
        running.process.wait()
    assert target.state()["open_sessions"]["basic"] == 1
    (kept,) = (state / "sessions").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(kept.read_text())[0]) == {"access_token", "refresh_token"}
    target.set_faults()

    ran = runner.run("--no-browser", "--check", "login", state=state)  # once the killed run's hold on it is over

    assert ran.code == 0, ran.story()
    assert ran.step("login", "end-left-open")["outcome"] == "passed"
    assert list((state / "sessions").iterdir()) == []
    assert_left_nothing(target)
    assert_under_ceiling(target)


def with_credentials(folder: Path, **credentials: Any) -> Path:
    return write_config(folder / "credentials.yaml", {"credentials": credentials})


def test_one_time_codes(tmp_path: Path) -> None:
    seed = {"env": "SMOKE_TEST_TOTP"}
    accounts = {"basic": {"totp": seed}}
    config = with_credentials(tmp_path, accounts=accounts)
    with StandIn("design", env={"STANDIN_TOTP_SECRET": SEED}) as target:
        runner = Runner(target, tmp_path, config)

        right = runner.run("--no-browser", "--check", "login", env={"SMOKE_TEST_TOTP": SEED})
        missing = runner.run("--no-browser", "--check", "login", env={"SMOKE_TEST_TOTP": ""})
        wrong = runner.run("--no-browser", "--check", "login", env={"SMOKE_TEST_TOTP": SEED[::-1]})

        invalid = runner.run("--no-browser", "--check", "login", env={"SMOKE_TEST_TOTP": "not base32"})

        assert right.code == 0, right.story()
        assert missing.code == invalid.code == 2
        assert "not base32" not in invalid.stdout + invalid.stderr
        assert (wrong.code, wrong.outcome("login")) == (1, "failed")
        assert posts(target, LOGIN) == 2


def test_a_secret_header_for_the_edge(tmp_path: Path) -> None:
    config = with_credentials(tmp_path, edge_header={"name": "X-Edge-Secret", "value": {"env": "EDGE_SECRET"}})
    with StandIn("design", env={"STANDIN_EDGE_SECRET": EDGE_SECRET}) as target:
        runner = Runner(target, tmp_path, config)

        right = runner.run(env={"EDGE_SECRET": f"{EDGE_SECRET}\n"})
        sent = len(target.ledger())
        unusable = runner.run(env={"EDGE_SECRET": f"{EDGE_SECRET}\n\x07"})
        assert len(target.ledger()) == sent
        wrong = runner.run("--no-browser", "--check", "health", env={"EDGE_SECRET": "another"})

        assert right.code == 0, right.story()
        assert unusable.code == 2
        assert EDGE_SECRET not in unusable.stdout + unusable.stderr
        assert wrong.code == 1
        assert wrong.layer("health") == "http"
        assert_left_nothing(target)


def test_get_only_sends_nothing_else(target: StandIn, runner: Runner, tmp_path: Path) -> None:
    config = write_config(tmp_path / "get-only.yaml", {"safety": {"get_only": True}})

    ran = runner.run(config=config, env={"SMOKE_TEST_PASSWORD": ""})

    assert ran.code == 0, ran.story()
    assert {entry["method"] for entry in target.ledger()} == {"GET"}
    assert {ran.outcome(check) for check in ("health", "homepage", "api")} == {"passed"}
    assert {ran.outcome(check) for check in ("login", "enhancement")} == {"skipped"}
    assert ran.report["outcome"] == "passed"


def test_what_a_flag_leaves_out_changes_no_exit_code(target: StandIn, runner: Runner) -> None:
    ran = runner.run("--no-browser")

    assert ran.code == 0, ran.story()
    assert ran.outcome("homepage") == "skipped"
    assert ran.outcome("login") == "passed"
    assert ran.step("login", "web")["outcome"] == "skipped"
    assert not any(entry["path"] == "/" for entry in target.ledger())
