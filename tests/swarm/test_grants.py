"""A master's permits, whatever becomes of the ledger under it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from probes.errors import LedgerError, NoBudgetError, PausedError
from probes.safety import ledger_file
from probes.safety.ledger import open_ledger
from probes.safety.permits import Permit
from probes.swarm.equipment import equip_master
from probes.swarm.grants import LedgerGrants
from tests.fleet.harness import write_ledger
from tests.swarm.test_by_the_hour import options_for

URL = "http://127.0.0.1:9"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def grants(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerGrants:
    monkeypatch.setattr(ledger_file, "BUSY_S", 0.1)
    write_ledger(state)
    limits = {"all": {"allows": "100 per 60s", "key": "ip", "covers": ["* /*"]}}
    return LedgerGrants(equip_master(options_for(tmp_path, URL, {"checks": {"site": {"every": "90s"}}}, limits=limits)))


@contextmanager
def locked(state: Path) -> Iterator[None]:
    with closing(sqlite3.connect(state / "ledger.sqlite3", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def grant(grants: LedgerGrants) -> Permit:
    return grants.grant("site", "local", egress="", confirms=False)


@pytest.mark.parametrize("by_whom", ["nobody", "a run by hand"])
def test_a_ledger_that_vanishes_is_not_taken_for_an_empty_window(
    grants: LedgerGrants, state: Path, by_whom: str
) -> None:
    for _ in range(9):
        grant(grants)
    with pytest.raises(NoBudgetError, match="no room"):
        grant(grants)
    for file in state.glob("ledger.sqlite3*"):
        file.unlink()
    if by_whom != "nobody":
        write_ledger(state)
    for _ in range(3):
        with pytest.raises(NoBudgetError, match="The ledger is new"):
            grant(grants)


def test_what_the_target_asked_for_outlives_trouble_with_the_ledger(grants: LedgerGrants, state: Path) -> None:
    with locked(state):
        hold = grants.target_asked("local", {"what": "pause", "seconds": 600})
        assert hold is not None  # the other workers are told at once
        assert hold[0] == "pause"
        assert grants.paused() is not None
        with pytest.raises(LedgerError):
            grant(grants)
    paused = grants.paused()
    assert paused is not None
    assert "by the target's owner" in paused.message
    with pytest.raises(PausedError):
        grant(grants)
    (pause,) = open_ledger(state).pauses(URL)
    assert pause.by == "target"


def test_a_throttle_outlives_it_too(grants: LedgerGrants, state: Path) -> None:
    with locked(state):
        grants.target_asked("local", {"what": "slow down", "method": "GET", "path": "/", "seconds": 600})
        grants.target_asked("local", {"what": "limit", "method": "GET", "path": "/", "requests": 10})
    with pytest.raises(NoBudgetError, match="the target asked to slow down"):
        grant(grants)
