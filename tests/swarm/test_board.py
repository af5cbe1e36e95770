"""What a board shows after a restart, and before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from probes.model import Layer, Outcome, Reason, Verdict
from probes.store.record import NO_DATA
from probes.swarm.board import Board
from tests.store.sample import record

NOW = 5000.0


@pytest.fixture
def board() -> Board:
    made = Board()
    made.add_region("eu", ["api"])
    return made


def failed() -> Verdict:
    return Verdict("api", Outcome.FAILED, reason=Reason("GET /", Layer.HTTP, "status code"), duration_s=0.25)


def test_nothing_is_known_at_first(board: Board) -> None:
    (cell,) = board.to_json(NOW)
    assert (cell["outcome"], cell["reason"], cell["age_s"], cell["runs"]) == (NO_DATA, "nothing yet", None, [])


def test_what_is_remembered_is_shown_with_its_age(board: Board) -> None:
    board.recall([record("passed", 60), record("failed", 30)], NOW)
    (cell,) = board.to_json(NOW + 10)
    assert (cell["outcome"], cell["reason"], cell["duration_s"], cell["verified"]) == ("failed", "wrong", 0.2, True)
    assert cell["age_s"] == pytest.approx(40, abs=1)
    assert [run["outcome"] for run in cell["runs"]] == ["passed", "failed"]
    assert [run["detail"] for run in cell["runs"]] == ["", "wrong"]


def test_no_data_is_remembered_beside_the_last_verdict(board: Board) -> None:
    board.recall([record("failed", 90), record(NO_DATA, 30)], NOW)
    (cell,) = board.to_json(NOW)
    assert (cell["outcome"], cell["reason"]) == (NO_DATA, "no worker")
    assert cell["age_s"] == pytest.approx(90, abs=1)


def test_what_has_come_meanwhile_is_newer(board: Board) -> None:
    board.judged("eu", failed(), NOW, id_="new")
    board.recall([record("passed", 60)], NOW + 1)
    (cell,) = board.to_json(NOW + 1)
    assert (cell["outcome"], cell["age_s"], cell["verified"]) == ("failed", 1.0, False)
    assert [run["outcome"] for run in cell["runs"]] == ["passed", "failed"]


def test_no_data_meanwhile_goes_with_the_remembered_verdict(board: Board) -> None:
    board.not_judged("eu", "api", "no budget")
    board.recall([record("passed", 60)], NOW)
    (cell,) = board.to_json(NOW)
    assert (cell["outcome"], cell["reason"]) == (NO_DATA, "no budget")
    assert cell["age_s"] == pytest.approx(60, abs=1)


def test_what_a_worker_has_told_again_is_shown_once(board: Board) -> None:
    board.judged("eu", failed(), NOW, id_="told twice")
    board.recall([record("failed", 5, id_="told twice")], NOW)
    (cell,) = board.to_json(NOW)
    assert len(cell["runs"]) == 1
    assert cell["age_s"] == 0.0


def test_only_the_newest_runs_are_shown(board: Board) -> None:
    board.recall([record("passed", 100 - number) for number in range(29)], NOW)
    for _ in range(3):
        board.judged("eu", failed(), NOW)
    (cell,) = board.to_json(NOW)
    assert [run["outcome"] for run in cell["runs"]] == ["passed"] * 27 + ["failed"] * 3


def test_a_record_of_the_future_is_of_now(board: Board) -> None:
    board.recall([record("passed", -3600)], NOW)
    assert board.to_json(NOW)[0]["age_s"] == 0.0


def test_a_quorum_is_of_verified_regions_that_have_judged_lately(board: Board) -> None:
    board.judged("eu", failed(), NOW, verified=True)
    board.judged("us", failed(), NOW, verified=False)
    board.recall([record("passed", 30, region="ap"), record("passed", 300, region="sa")], NOW)
    assert board.quorums({"api": 60.0}, NOW) == [{"check": "api", "regions": 2, "failed": 1}]
    assert board.quorums({"api": 60.0}, NOW + 100) == [{"check": "api", "regions": 0, "failed": 0}]


@pytest.mark.parametrize("at", [1e20, -1e20, float("inf")])
def test_a_time_that_no_calendar_has_is_shown_as_none(board: Board, at: float) -> None:
    board.recall([replace(record("failed"), at=at)], NOW)
    (cell,) = board.to_json(NOW)
    assert cell["runs"][0]["at"] == ""
    assert json.dumps(cell, allow_nan=False)


def test_what_is_remembered_of_the_future_speaks_for_no_region(board: Board) -> None:
    """The clock was set back since: nobody knows how old it is."""
    board.recall([record("failed", -3600.0)], NOW)
    (counted,) = board.quorums({"api": 60.0}, NOW)
    assert (counted["regions"], counted["failed"]) == (0, 0)
