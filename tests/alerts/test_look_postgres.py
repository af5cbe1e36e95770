"""The same over a real PostgreSQL, by processes that are killed, race, and forget their disk."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.alerts.told import changes, seen
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[2]


def started(mode: str, place: str, file: Path, count: int = 1) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.alerts.told", mode, place, str(file), str(count)], cwd=ROOT)


def run(mode: str, place: str, file: Path) -> int:
    return started(mode, place, file).wait(60)


def leases_are_over(server: PostgresServer) -> None:
    """As if so much time had passed."""
    server.execute("UPDATE smokeprobe.alert_notices SET leased_until = leased_until - 31")


@pytest.mark.slow
class TestServer:
    def test_one_outage_is_one_page_and_one_resolve_though_each_process_has_a_new_disk(
        self, postgres: PostgresServer, tmp_path: Path
    ) -> None:
        """Each process here has no state directory at all: the database is all that is kept."""
        postgres.forget()
        told = tmp_path / "told"
        for outcome, count in (("passed", 3), ("failed", 6), ("failed", 1), ("passed", 12), ("passed", 1)):
            seen(postgres.url, outcome, count)
            assert run("once", postgres.url, told) == 0
        assert changes(told) == ["firing", "resolved"]

    def test_who_is_killed_between_deciding_and_sending_has_the_next_one_send(
        self, postgres: PostgresServer, tmp_path: Path
    ) -> None:
        postgres.forget()
        told = tmp_path / "told"
        seen(postgres.url, "failed")
        assert run("die-before", postgres.url, told) == -signal.SIGKILL
        assert changes(told) == []
        for _ in range(2):
            assert run("once", postgres.url, told) == 0
        assert changes(told) == ["firing"]

    def test_who_is_killed_between_sending_and_noting_it_has_it_sent_again_under_the_same_name(
        self, postgres: PostgresServer, tmp_path: Path
    ) -> None:
        """Whether the channel took it nobody can know: a pager knows it by its key, and people by its number."""
        postgres.forget()
        told = tmp_path / "told"
        seen(postgres.url, "failed")
        assert run("die-after", postgres.url, told) == -signal.SIGKILL
        assert run("once", postgres.url, told) == 0
        assert changes(told) == ["firing"]  # while its lease lasts nobody else sends it
        leases_are_over(postgres)
        for _ in range(2):
            assert run("once", postgres.url, told) == 0
        first, second = told.read_text().splitlines()
        assert first == second

    def test_of_masters_that_look_at_the_same_time_one_tells(self, postgres: PostgresServer, tmp_path: Path) -> None:
        postgres.forget()
        told = tmp_path / "told"
        seen(postgres.url, "passed")
        assert run("once", postgres.url, told) == 0
        for outcome, count in (("failed", 6), ("passed", 20)):
            seen(postgres.url, outcome, count)
            racing = [started("often", postgres.url, told, 40) for _ in range(3)]
            assert [each.wait(90) for each in racing] == [0, 0, 0]
        assert changes(told) == ["firing", "resolved"]
