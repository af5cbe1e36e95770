"""A target that is down, and a network of our own that is: told apart by a whole run, with real servers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from probes.standin.process import StandIn
from tests.clients.raw_server import OK, RawServer, always, refusing_port, silent_port
from tests.e2e.harness import CHECKS, SHORT, Ran, Runner, assert_in_time, assert_left_nothing, write_config
from tests.waiting import until

HTTP_CHECKS = tuple(check for check in CHECKS if check != "homepage")
OURS = "our own network is down: "
LONGEST_CHECK_S = 15
ERROR_500 = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HTTP = ("--no-browser",)


@contextmanager
def down() -> Iterator[str]:
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}"


def config(folder: Path, *addresses: str, **more: Any) -> Path:
    control = {"addresses": list(addresses), "allows": "600 per 60s", "timeout": "1s"}
    checks = SHORT | {"homepage": {"timeout": f"{LONGEST_CHECK_S}s"}}
    return write_config(folder / "controlled.yaml", {"control": control, "checks": checks}, more)


def outcomes(ran: Ran, checks: tuple[str, ...] = HTTP_CHECKS) -> set[str]:
    return {ran.outcome(check) for check in checks}


def test_the_target_is_down_and_our_network_is_not(target: StandIn, runner: Runner) -> None:
    """The stand-in is the control here, and sees one GET for all checks, and nothing else."""
    with down() as url:
        ran = runner.run("--target-url", url, *HTTP, config=config(runner.folder, f"{target.url}/health"))
    assert ran.code == 1, ran.story()
    assert outcomes(ran) == {"failed"}
    assert "our own network" not in ran.stdout
    assert [(entry["method"], entry["path"]) for entry in target.ledger()] == [("GET", "/health")]
    assert_left_nothing(target)


@pytest.mark.release
def test_nobody_can_be_reached(runner: Runner) -> None:
    with down() as url, down() as control, down() as second:
        ran = runner.run("--target-url", url, config=config(runner.folder, control, second))
    assert ran.code == 3, ran.story()
    assert outcomes(ran, CHECKS) == {"error"}
    for check in CHECKS:
        assert ran.checks[check]["reason"]["rule"].startswith(OURS), ran.story()
        assert ran.layer(check) == "connect"
        assert {step["outcome"] for step in ran.checks[check]["steps"]} <= {"error", "passed"}
    assert "Look at the network of the machine that ran the probe" in " ".join(ran.stdout.split())


def test_a_control_that_has_troubles_of_its_own_is_reached(runner: Runner) -> None:
    with down() as url, RawServer(always(ERROR_500)) as control:
        ran = runner.run("--target-url", url, *HTTP, config=config(runner.folder, control.url))
    assert ran.code == 1, ran.story()
    assert outcomes(ran) == {"failed"}
    assert len(control.requests) == 1


def test_a_target_that_is_there_has_nobody_asked(target: StandIn, runner: Runner) -> None:
    target.set_faults("health-unhealthy")
    with RawServer(always(OK)) as control:
        ran = runner.run(*HTTP, "--check", "health", "--check", "api", config=config(runner.folder, control.url))
    assert ran.code == 1, ran.story()
    assert (ran.outcome("health"), ran.outcome("api")) == ("failed", "passed")
    assert control.connections == 0


def test_a_target_that_is_silent_has_the_control_asked_and_nothing_else_said(target: StandIn, runner: Runner) -> None:
    target.set_faults("hang-health")
    with down() as control:
        ran = runner.run(*HTTP, "--check", "health", config=config(runner.folder, control))
    assert (ran.code, ran.outcome("health")) == (3, "error"), ran.story()
    assert ran.reason("health").startswith(f"edge (http): {OURS}no complete answer within")
    assert {entry["path"] for entry in target.ledger()} == {"/health"}


@pytest.mark.release
def test_a_run_in_which_nobody_answers_ends_in_its_time(runner: Runner) -> None:
    with silent_port() as port, silent_port() as control:
        ran = runner.run(
            "--target-url",
            f"http://127.0.0.1:{port}",
            *HTTP,
            config=config(runner.folder, f"http://127.0.0.1:{control}"),
        )
    assert (ran.code, outcomes(ran)) == (3, {"error"}), ran.story()
    assert_in_time(ran, 4 * 2 + 3)


def test_a_signal_interrupts_the_asking_and_what_was_seen_is_reported(runner: Runner) -> None:
    with down() as url, RawServer(lambda talk: talk.hang()) as control:
        long = {"control": {"timeout": "12s"}}
        command = ("--target-url", url, *HTTP, "--check", "health")
        with runner.started(*command, config=config(runner.folder, control.url, **long)) as running:
            assert until(lambda: control.connections)
            begun = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            ran = running.end()
            assert time.monotonic() - begun < 5
    assert (ran.code, ran.outcome("health")) == (143, "failed"), ran.story()


@pytest.mark.release
def test_a_browser_that_is_left_without_any_answer(runner: Runner) -> None:
    with silent_port() as port, down() as control:
        command = ("--target-url", f"http://127.0.0.1:{port}", "--check", "homepage")
        quick = {"checks": {"homepage": {"timeout": "4s"}}}
        ran = runner.run(*command, config=config(runner.folder, control, **quick))
    assert (ran.code, ran.outcome("homepage")) == (3, "error"), ran.story()
    assert ran.checks["homepage"]["reason"]["rule"].startswith(OURS), ran.story()
