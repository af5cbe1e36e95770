"""Two machines, as two state directories, share one ledger in PostgreSQL: its pauses, its ceiling, and its absence."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from probes.options import DATABASE_URL
from probes.standin.process import StandIn
from tests.e2e.harness import SMOKEPROBE, Runner, assert_left_nothing, assert_under_ceiling
from tests.postgres import PASSWORD, PostgresServer
from tests.waiting import until

pytestmark = pytest.mark.slow
LOGIN = "/api/v1/auth/login"


def test_two_machines_heed_one_ledger_and_nobody_sees_its_password(
    postgres: PostgresServer, target: StandIn, runner: Runner
) -> None:
    runner.env[DATABASE_URL] = postgres.url

    first = runner.run("--no-browser")

    assert first.code == 0, first.story()
    assert not list(runner.folder.rglob("ledger.sqlite3"))
    peaks = {use["name"]: use["peak"] for use in first.report["rate_limits"]}
    assert max(peaks.values()) > 0

    sent = len(target.ledger())
    subprocess.run([SMOKEPROBE, "pause", "--why", "a migration"], env=runner.environment(), check=True)
    second = runner.run("--no-browser", "--check", "health")

    assert second.code == 3, second.story()
    assert "a migration" in second.reason("health")
    assert len(target.ledger()) == sent
    assert_under_ceiling(target)
    assert PASSWORD not in first.story() + second.story() + first.json_file.read_text()


def test_without_the_server_nothing_is_sent(postgres: PostgresServer, target: StandIn, runner: Runner) -> None:
    runner.env[DATABASE_URL] = postgres.url
    with postgres.stopped():
        ran = runner.run("--no-browser")

    assert ran.code == 3, ran.story()
    assert "no ledger, so nothing is sent" in ran.reason("health")
    assert target.ledger() == []
    assert ran.wall_s < 15
    assert PASSWORD not in ran.story()


@contextmanager
def killed(postgres: PostgresServer) -> Iterator[None]:
    postgres.kill()
    try:
        yield
    finally:
        postgres.start()


@pytest.mark.parametrize("lost", [killed, PostgresServer.stopped])
def test_a_server_lost_while_a_session_is_open_keeps_nobody_from_logging_out(
    lost: Callable[[PostgresServer], AbstractContextManager[None]],
    postgres: PostgresServer,
    target: StandIn,
    runner: Runner,
) -> None:
    runner.env[DATABASE_URL] = postgres.url
    target.set_faults("login-slow")
    with runner.started("--no-browser", "--check", "login") as running:
        assert until(lambda: any(entry["path"] == LOGIN for entry in target.ledger()))
        with lost(postgres):
            ran = running.end()

    assert ran.code == 3, ran.story()
    assert "cannot be used" in ran.story()
    assert_left_nothing(target)
    assert PASSWORD not in ran.story()
