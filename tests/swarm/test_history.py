"""A master's queue before a real store: nobody waits for it, nothing is lost while there is room, and it is said."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gevent
import pytest

from probes.model import Outcome, Verdict
from probes.store import database as database_module
from probes.store.record import KEEP_S, NO_DATA, Record
from probes.store.store import Store, open_store
from probes.swarm import history as history_module
from probes.swarm.history import History
from tests.store.sample import TARGET, record


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "RETRY_S", 0.2)
    monkeypatch.setattr(database_module, "BUSY_S", 0.3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path, "", TARGET)


@pytest.fixture
def recalled() -> list[Record]:
    return []


@pytest.fixture
def history(store: Store, recalled: list[Record]) -> Iterator[History]:
    made = History(store, recalled.extend)
    yield made
    made.close(1.0)


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Somebody holds the file."""
    store.last("eu", [], 1)  # which makes it
    with closing(sqlite3.connect(store.place, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


def judge(history: History, outcome: Outcome = Outcome.PASSED, permit: str = "") -> None:
    permit = permit or record().id
    history.judged(Verdict("api", outcome), permit, region="eu", verified=True, worker="w")


def kept(store: Store) -> list[Record]:
    return store.last("eu", ["api"], 10_000)


def wait_for(history: History, unwritten: int = 0) -> None:
    ends = time.monotonic() + 10
    while history.unwritten != unwritten or (not unwritten and history.trouble):
        assert time.monotonic() < ends, history.trouble
        gevent.sleep(0.02)


def test_what_is_told_is_written_soon_and_once(history: History, store: Store) -> None:
    history.begin()
    judge(history, Outcome.FAILED, permit="the permit")
    judge(history, Outcome.FAILED, permit="the permit")
    history.not_judged("eu", "api", "no worker", verified=False)
    wait_for(history)
    judge(history, Outcome.FAILED, permit="the permit")
    wait_for(history)
    verdict, nothing = kept(store)
    assert (verdict.id, verdict.outcome, verdict.verified) == ("the permit", "failed", True)
    assert verdict.at == pytest.approx(time.time(), abs=5)
    assert (nothing.outcome, nothing.reason, nothing.verified) == (NO_DATA, "no worker", False)


def test_a_store_in_trouble_keeps_nobody_waiting_and_gets_it_later(
    history: History, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(store):
        history.begin()
        turns, ends = 0, time.monotonic() + 1.0
        while time.monotonic() < ends:
            judge(history, permit=str(turns))
            turns += 1
            gevent.sleep(0.01)
        assert turns > 50
        assert history.unwritten == turns
        assert "database is locked" in history.trouble
        assert history.trouble.endswith(f"Results that wait for it: {turns}.")
    wait_for(history)
    assert len(kept(store)) == turns
    assert history.trouble == ""
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]  # once, however often it was tried


def test_where_there_is_no_room_what_had_passed_goes_first(
    history: History, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MOST_UNWRITTEN", 6)
    with locked(store):
        history.begin()
        for number in range(4):
            judge(history, Outcome.FAILED, f"failed {number}")
            judge(history, Outcome.PASSED, f"passed {number}")
            gevent.sleep(0.01)
        assert (history.unwritten, history.lost) == (6, 2)
        while not history.trouble:
            gevent.sleep(0.02)
        assert "2 were dropped, what had passed first" in history.trouble
        for number in range(4, 7):
            judge(history, Outcome.FAILED, f"failed {number}")
        assert (history.unwritten, history.lost) == (6, 5)
    wait_for(history)
    # the first may have been on its way already
    assert {each.id for each in kept(store)} - {"passed 0"} == {f"failed {number}" for number in range(1, 7)} | (
        {each.id for each in kept(store)} & {"failed 0"}
    )


def test_what_is_there_at_the_end_is_written(history: History, store: Store) -> None:
    history.begin()
    gevent.sleep(0.1)
    for _ in range(500):
        judge(history)
    history.close(5.0)
    assert history.unwritten == 0
    assert len(kept(store)) == 500


def test_a_store_in_trouble_is_not_waited_for_at_the_end(
    history: History, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(store):
        history.begin()
        judge(history)
        gevent.sleep(0.5)
        begun = time.monotonic()
        history.close(8.0)
        assert time.monotonic() - begun < 2.0
    assert "1 results are not in the history: " in caplog.text


def test_what_is_remembered_comes_back_as_soon_as_the_store_answers(
    history: History, store: Store, recalled: list[Record]
) -> None:
    before = [record("passed", 60), record("failed", 30)]
    store.add([*before, record(region="us"), record(check="gone")])
    Path(store.place).rename(f"{store.place}.away")
    Path(store.place).mkdir()
    history.recall("eu", ("api",))
    history.begin()
    judge(history)
    gevent.sleep(0.5)
    assert recalled == []
    assert "cannot be used" in history.trouble
    Path(store.place).rmdir()
    Path(f"{store.place}.away").rename(store.place)
    wait_for(history)
    assert recalled == before


def test_what_is_old_is_forgotten_in_small_steps(
    history: History, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "FORGET_EVERY_S", 3.0)
    monkeypatch.setattr(history_module, "FORGET_AT_ONCE", 2)
    old = KEEP_S
    store.add([record("passed", old + number) for number in range(1, 6)])
    store.add([record("passed", old - 60, id_="young enough")])
    history.begin()
    ends = time.monotonic() + 15
    while len(kept(store)) == 6 and time.monotonic() < ends:
        gevent.sleep(0.01)
    assert len(kept(store)) == 4  # the next step is 3 s away
    monkeypatch.setattr(history_module, "FORGET_EVERY_S", 0.05)
    while len(kept(store)) > 1 and time.monotonic() < ends:
        gevent.sleep(0.05)
    assert [each.id for each in kept(store)] == ["young enough"]


def test_what_no_database_can_hold_is_dropped_and_said_and_the_rest_is_written(
    history: History, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    history.begin()
    too_many = Verdict("api", Outcome.PASSED, attempts=10**30)
    history.judged(too_many, "too many", region="eu", verified=True, worker="w")
    judge(history, permit="as ever")
    wait_for(history)
    judge(history, permit="later")
    wait_for(history)
    assert [each.id for each in kept(store)] == ["as ever", "later"]
    assert history.lost == 1
    assert "does not take a result of api in eu" in caplog.text


def test_a_history_that_cannot_be_shown_is_said_and_what_comes_is_written(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def cannot(_records: list[Record]) -> None:
        raise OverflowError("the year is out of range")

    store.add([record()])
    history = History(store, cannot)
    history.recall("eu", ("api",))
    history.begin()
    judge(history, permit="new")
    wait_for(history)
    assert "The history has broken: OverflowError." in caplog.text
    history.close(1.0)
    assert "new" in {each.id for each in kept(store)}
