"""What a fleet has found out, and keeps: across the end of masters and workers, and whatever becomes of the store.

The stand-in's own ledger is the judge: each run of `health` asks for /health once.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from probes.options import DATABASE_URL
from probes.safety.ledger import Ledger
from probes.safety.ledger_postgres import LedgerDatabase
from probes.standin.process import StandIn
from tests.fleet.harness import Fleet, fill_ledger, fleet_of, until
from tests.postgres import PASSWORD, PostgresServer

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]

MASTER = "master"


@pytest.fixture
def target(design: StandIn) -> StandIn:
    return design


@pytest.fixture
def fleet(target: StandIn, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(target, tmp_path) as running:
        yield running


def history(fleet: Fleet) -> list[dict[str, Any]]:
    """All that the master has in its file, the oldest first."""
    path = fleet.folder / MASTER / "history.sqlite3"
    if not path.is_file():
        return []
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM history ORDER BY at")]


def runs_of(rows: list[dict[str, Any]], check: str = "health") -> list[dict[str, Any]]:
    """The verdicts on something that was sent."""
    return [row for row in rows if row["check"] == check and row["attempts"]]


def asked(target: StandIn, path: str = "/health") -> int:
    return sum(entry["path"] == path for entry in target.ledger())


def is_up(fleet: Fleet) -> bool:
    return fleet.get("/healthz")[0] == 200


def passed(fleet: Fleet, check: str = "health") -> bool:
    return bool(fleet.cell(check)["outcome"] == "passed")


def has_passed(fleet: Fleet, check: str = "health") -> bool:
    return any(run["outcome"] == "passed" for run in fleet.cell(check)["runs"])


def test_a_restarted_master_shows_what_was_known(fleet: Fleet) -> None:
    master, worker = fleet.master(), fleet.worker("one")
    assert until(lambda: passed(fleet, "login") and passed(fleet)), fleet.story()
    assert worker.stop() == 0
    before = fleet.cell("login")["runs"]
    assert master.stop() == 0, fleet.story()
    time.sleep(3)

    fleet.master()
    assert until(lambda: fleet.cell("login")["runs"]), fleet.story()
    cell = fleet.cell("login")
    assert cell["runs"][: len(before)] == before
    assert cell["age_s"] >= 3
    assert cell["duration_s"] > 0
    assert until(lambda: fleet.cell("health")["reason"] == "no worker"), fleet.story()
    assert fleet.cell("health")["age_s"] > fleet.cell("login")["age_s"] - 8  # of the last verdict, as before


def test_nothing_is_lost_or_counted_twice_when_masters_and_workers_are_asked_to_stop(
    fleet: Fleet, target: StandIn
) -> None:
    master = fleet.master()
    workers = [fleet.worker(name) for name in ("one", "two")]
    assert until(lambda: passed(fleet)), fleet.story()
    for number in range(3):
        time.sleep(2.5 + 0.3 * number)
        assert master.stop() == 0, fleet.story()
        time.sleep(number)
        master = fleet.master()
        assert until(lambda: fleet.workers() == 2, 40), fleet.story()
        seen = len(runs_of(history(fleet)))
        assert until(lambda seen=seen: len(runs_of(history(fleet))) > seen + 1), fleet.story()  # type: ignore[misc]  # mypy has no type for it
    for worker in workers:
        assert worker.process.poll() is None  # the master's end was not theirs
        assert worker.stop() == 0
        assert "not heard" not in worker.text(), fleet.story()
    assert master.stop() == 0
    assert "not in the history" not in fleet.story()
    for check, path in (("health", "/health"), ("enhancement", "/api/v1/enhance")):
        assert len(runs_of(history(fleet), check)) == asked(target, path), fleet.story()


def test_a_master_that_is_killed_loses_no_more_than_it_had_just_heard(fleet: Fleet, target: StandIn) -> None:
    fleet.worker("one")
    kills = 3
    for _ in range(kills):
        master = fleet.master()
        assert until(lambda: passed(fleet) and fleet.workers() == 1, 40), fleet.story()
        seen = asked(target)
        assert until(lambda seen=seen: asked(target) > seen), fleet.story()  # type: ignore[misc]  # mypy has no type for it
        master.stop(signal.SIGKILL)
    master = fleet.master()
    assert until(lambda: fleet.workers() == 1, 40), fleet.story()
    assert fleet.members[0].stop() == 0
    assert master.stop() == 0
    assert asked(target) - kills <= len(runs_of(history(fleet))) <= asked(target), fleet.story()


def test_what_a_worker_finds_while_there_is_no_master_is_told_to_the_next(fleet: Fleet, target: StandIn) -> None:
    master, worker = fleet.master(), fleet.worker("one")
    assert until(lambda: passed(fleet)), fleet.story()
    target.set_faults("login-slow")
    seen = asked(target, "/api/v1/auth/login")
    assert until(lambda: asked(target, "/api/v1/auth/login") > seen), fleet.story()
    master.stop(signal.SIGKILL)
    worker.process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    time.sleep(1.0)
    fleet.master()
    assert worker.process.wait(15) == 0
    assert time.monotonic() - begun < 10
    assert "not heard" not in worker.text(), fleet.story()
    assert set(target.state()["open_sessions"].values()) == {0}
    assert until(lambda: any("interrupted" in row["reason"] for row in runs_of(history(fleet), "login"))), fleet.story()


def test_a_store_in_trouble_changes_no_verdict_and_gets_everything_later(fleet: Fleet, target: StandIn) -> None:
    path = fleet.folder / MASTER / "history.sqlite3"
    path.mkdir(parents=True)
    master, worker = fleet.master(), fleet.worker("one")
    assert until(lambda: passed(fleet) and passed(fleet, "enhancement")), fleet.story()
    board = fleet.board()
    assert str(path) in board["trouble"], board["trouble"]
    assert "Results that wait for it" in board["trouble"]
    assert board["own_health"]["unwritten"] > 0
    assert fleet.get("/readyz")[0] == 200
    assert 'smokeprobe_trouble{of="history"} 1.0' in fleet.get("/metrics")[1]
    assert "Traceback" not in master.text()

    path.rmdir()
    assert until(lambda: not fleet.board()["trouble"] and fleet.board()["own_health"]["unwritten"] == 0)
    assert worker.stop() == 0
    assert master.stop() == 0
    assert len(runs_of(history(fleet))) == asked(target), fleet.story()


def test_a_store_that_hangs_keeps_no_turn_waiting(fleet: Fleet) -> None:
    fleet.master()
    fleet.worker("one")
    assert until(lambda: passed(fleet) and history(fleet)), fleet.story()
    slowest = 0.0
    with closing(sqlite3.connect(fleet.folder / MASTER / "history.sqlite3", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        ends = time.monotonic() + 8
        while time.monotonic() < ends:
            slowest = max(slowest, json.loads(fleet.get("/healthz")[1])["turned_s"])
            time.sleep(0.05)
        assert "locked" in fleet.board()["trouble"], fleet.story()
    assert slowest < 1.0  # it turns every 0.1 s, beside other tests
    assert until(lambda: fleet.board()["own_health"]["unwritten"] == 0), fleet.story()


def test_a_verdict_says_whether_its_region_is_verified(target: StandIn, tmp_path: Path) -> None:
    places = {"regions": ["eu"], "region_proofs": {"eu": {"env": "NODE_REGION"}}}
    with fleet_of(target, tmp_path, places) as fleet:
        fleet.master("--region", "eu")
        claims = fleet.worker("claims", "--region", "eu")
        assert until(lambda: fleet.cell("health", "eu")["outcome"] == "passed"), fleet.story()
        assert fleet.cell("health", "eu")["verified"] is False
        quorums = {each["check"]: each["regions"] for each in fleet.board()["quorums"]}
        assert quorums["health"] == 0
        assert claims.stop() == 0
        fleet.worker("proves", "--region", "eu", env={"NODE_REGION": "eu"})
        assert until(lambda: fleet.cell("health", "eu")["verified"]), fleet.story()
        assert 'smokeprobe_quorum_regions{check="health"} 1.0' in fleet.get("/metrics")[1]
        assert until(lambda: {row["verified"] for row in runs_of(history(fleet))} == {0, 1}), fleet.story()


def test_two_masters_on_one_database(postgres: PostgresServer, target: StandIn, tmp_path: Path) -> None:
    """Each with a worker; the database is away for a while, and comes back."""
    database = LedgerDatabase(postgres.url)
    fill_ledger(Ledger(database))
    database.close()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    def rows() -> list[dict[str, Any]]:
        with psycopg.connect(postgres.url, row_factory=dict_row) as connection:
            return connection.execute("SELECT * FROM smokeprobe.history ORDER BY at").fetchall()

    with fleet_of(target, tmp_path / "a") as first, fleet_of(target, tmp_path / "b") as second:
        both = (first, second)
        for fleet in both:
            fleet.env |= {DATABASE_URL: postgres.url}
            fleet.master()
            fleet.worker("one")
        assert until(lambda: all(has_passed(fleet) for fleet in both)), first.story() + second.story()
        postgres.kill()
        time.sleep(4)
        assert all("PostgreSQL" in fleet.board()["own_health"]["store"] for fleet in both), first.story()
        postgres.start()
        assert until(lambda: not any(fleet.board()["trouble"] for fleet in both)), first.story() + second.story()
        before = len(runs_of(rows()))
        assert until(lambda: len(runs_of(rows())) > before + 1, 40), first.story() + second.story()
        for fleet in both:
            for member in reversed(fleet.members):
                assert member.stop() == 0, fleet.story()
        assert len(runs_of(rows())) == asked(target), first.story() + second.story()
        assert PASSWORD not in first.story() + second.story()
        assert not list(tmp_path.rglob("history.sqlite3"))
