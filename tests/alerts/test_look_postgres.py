"""The same over a real PostgreSQL, by processes that are killed, race, and forget their disk."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.alerts.told import changes, seen
from tests.postgres import PostgresServer
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def started(mode: str, place: str, file: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.alerts.told", mode, place, str(file)], cwd=ROOT)


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
        """Three of them look without a pause, and each of ten people is to be told by one."""
        postgres.forget()
        told, stop = tmp_path / "told", tmp_path / "told.stop"
        seen(postgres.url, "passed")
        racing = [started("race", postgres.url, told) for _ in range(3)]
        try:
            assert until(lambda: looking(postgres) == 3)
            for outcome, count, lines in (("failed", 6, 10), ("passed", 20, 20)):
                seen(postgres.url, outcome, count)
                assert until(partial(_has, told, lines))
        finally:
            stop.touch()
            assert [each.wait(60) for each in racing] == [0, 0, 0]
        by_person: dict[str, list[str]] = {f"{n}@example.com": [] for n in range(10)}
        for line in told.read_text().splitlines():
            by_person[line.split()[3]].append(line.split()[2])
        assert by_person == {person: ["firing", "resolved"] for person in by_person}


def _has(told: Path, lines: int) -> bool:
    return len(changes(told)) >= lines


def looking(server: PostgresServer) -> int:
    """How many of our processes are connected."""
    with psycopg.connect(server.url) as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'smokeprobe'")
        return int((found.fetchone() or (0,))[0])
