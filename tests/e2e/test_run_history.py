"""What a run leaves in the history when it is over, and what a history that takes nothing does to it: nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from probes.errors import StoreError
from probes.standin.process import StandIn
from probes.store.inbox import FULL, Inbox
from probes.store.record import Run
from probes.store.store import open_store
from tests.e2e.harness import Runner
from tests.e2e.test_plain_locust import locust
from tests.e2e.ui_harness import Ui
from tests.waiting import until

FEW = ("--no-browser", "--check", "api", "--check", "health")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def made(state: Path) -> Path:
    """With tables: what a run does not have to make takes no time of those that are busy."""
    open_store(state, "", "").last("", (), 1)
    return state


def rows(state: Path, table: str) -> list[dict[str, Any]]:
    open_store(state, "", "").last("", (), 1)  # takes in what waits
    with closing(sqlite3.connect(state / "history.sqlite3")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY at")]  # noqa: S608 - our own names


def test_a_run_and_its_verdicts_are_in_it(target: StandIn, runner: Runner, state: Path) -> None:
    target.set_faults("test-500")
    ran = runner.run(*FEW, state=made(state))
    assert ran.code == 1, ran.story()
    (run,) = rows(state, "runs")
    assert run["id"] == ran.report["run_id"]
    assert (run["target"], run["region"], run["verified"], run["mode"]) == (target.url, "local", 0, "run")
    assert (run["outcome"], run["exit_code"], run["version"]) == ("failed", 1, "1.2.3")
    assert run["budget_percent"] == pytest.approx(max(use["peak_percent"] for use in ran.report["rate_limits"]))
    kept = {row["check"]: row for row in rows(state, "history")}
    assert {name: row["outcome"] for name, row in kept.items()} == {"api": "failed", "health": "passed"}
    assert {row["run"] for row in kept.values()} == {run["id"]}
    health = kept["health"]
    nearest = max(ran.checks["health"]["steps"], key=lambda step: step["judged_ms"] / step["limit_ms"])
    assert (health["step"], health["limit_ms"]) == (nearest["name"], nearest["limit_ms"])
    assert health["judged_ms"] == pytest.approx(nearest["judged_ms"], abs=0.1)
    assert "500" in kept["api"]["reason"]


def test_one_that_is_locked_keeps_no_run_waiting_and_has_it_later(runner: Runner, state: Path) -> None:
    made(state)
    with closing(sqlite3.connect(state / "history.sqlite3", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        ran = runner.run(*FEW, state=state)
    assert ran.code == ran.report["exit_code"] == 0, ran.story()
    assert not [note for note in ran.report["notes"] if "history" in note], ran.story()
    assert [row["id"] for row in rows(state, "runs")] == [ran.report["run_id"]]


def test_one_that_is_none_loses_no_run(runner: Runner, state: Path) -> None:
    state.mkdir()
    file = state / "history.sqlite3"
    file.write_bytes(b"a letter to my aunt" * 100)
    ran = runner.run(*FEW, state=state)
    assert ran.code == 0, ran.story()
    with pytest.raises(StoreError, match="file is not a database") as problem:
        rows(state, "runs")
    assert problem.value.hint.startswith("Move the file away")
    file.unlink()
    assert [row["id"] for row in rows(state, "runs")] == [ran.report["run_id"]]


def test_when_many_wait_a_run_takes_them_in(runner: Runner, state: Path) -> None:
    for number in range(FULL - 1):
        run = Run(
            f"r{number}", time.time(), "local", "here", verified=False, mode="run", duration_s=1.0, outcome="passed",
            exit_code=0,
        )  # fmt: skip
        Inbox(state).put("a target", run, [])
    ran = runner.run(*FEW, state=state)
    assert ran.code == 0, ran.story()
    assert Inbox(state).waiting() == []
    assert len(rows(state, "runs")) == FULL


def test_without_room_for_it_is_a_note(runner: Runner, state: Path) -> None:
    state.mkdir()
    (state / "history-inbox").write_text("a file where a folder belongs")
    ran = runner.run(*FEW, state=state)
    assert ran.code == 0, ran.story()
    assert "history-inbox cannot be written" in " ".join(ran.report["notes"])


def test_what_was_refused_is_not_in_it(runner: Runner, state: Path) -> None:
    ran = runner.run("--no-browser", state=state, env={"SMOKE_TEST_PASSWORD": ""})
    assert ran.code == 2, ran.story()
    assert not (state / "history.sqlite3").exists()
    assert not (state / "history-inbox").exists()


def test_each_run_of_the_web_ui_is_in_it_once(ui: Ui, tmp_path: Path) -> None:
    state = made(tmp_path / "ui-state")
    ui.run_all()
    assert until(lambda: len(rows(state, "runs")) == 1)
    ui.run_all()
    assert until(lambda: len(rows(state, "runs")) == 2)
    ui.end()
    first, second = rows(state, "runs")
    assert {first["mode"], second["mode"]} == {"ui"}
    assert first["at"] + first["duration_s"] <= second["at"]
    of_runs = [row["run"] for row in rows(state, "history")]
    assert of_runs == [first["id"]] * 3 + [second["id"]] * 3


@pytest.mark.release
def test_one_without_end_is_in_it_with_all_its_verdicts(runner: Runner, tmp_path: Path) -> None:
    made(tmp_path / "state")
    line = locust(runner, tmp_path, "--no-browser", "--check", "api", "--run-time", "8s", once=False)
    done = subprocess.run(line, env=runner.environment(), cwd=tmp_path, capture_output=True, check=False, timeout=60)
    (run,) = rows(tmp_path / "state", "runs")
    assert run["mode"] == "continuous", done.stderr
    assert {row["run"] for row in rows(tmp_path / "state", "history")} == {run["id"]}
