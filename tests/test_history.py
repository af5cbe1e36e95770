"""`smokeprobe history`: what was kept, for people and for programs; and what it says where there is nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.model import Outcome
from probes.store.record import NO_DATA, Run
from probes.store.store import Store, open_store
from tests.reports.sample import HOSTILE
from tests.store.sample import record
from tests.test_cli import Ended, smokeprobe

TARGET = "http://127.0.0.1:8089"
"""Of the shipped `local`."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "state" / "smokeprobe", "", TARGET)


def history(folder: Path, *arguments: str) -> Ended:
    return smokeprobe("history", *arguments, cwd=folder)


def objects(folder: Path, *arguments: str) -> list[Any]:
    ended = history(folder, "--json", *arguments)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def a_run(id_: str, ago_s: float, outcome: Outcome = Outcome.PASSED) -> Run:
    return Run(
        id_, time.time() - ago_s, "local", "eu", verified=True, mode="run", duration_s=0.5, outcome=str(outcome),
        exit_code=int(outcome != Outcome.PASSED), version="1.2.3", budget_percent=2.0, notes="one\ntwo",
    )  # fmt: skip


def test_the_newest_come_first_as_many_as_are_wanted(store: Store, tmp_path: Path) -> None:
    store.add([record(ago_s=number, id_=str(number)) for number in (3, 1, 2)])
    assert [each["id"] for each in objects(tmp_path)] == ["1", "2", "3"]
    assert [each["id"] for each in objects(tmp_path, "--limit", "2")] == ["1", "2"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("--region", "us"), ["us"]),
        (("--check", "health"), ["health"]),
        (("--outcome", "failed"), ["failed"]),
        (("--outcome", NO_DATA), ["none"]),
        (("--since", "2h"), ["none", "failed", "health", "us"]),
        (("--since", "2h", "--check", "api", "--region", "eu"), ["none", "failed"]),
    ],
)
def test_only_what_is_wanted(store: Store, tmp_path: Path, wanted: tuple[str, ...], found: list[str]) -> None:
    store.add([
        record(NO_DATA, 1, id_="none"),
        record("failed", 2, id_="failed"),
        record(ago_s=3, check="health", id_="health"),
        record(ago_s=4, region="us", id_="us"),
        record(ago_s=8000, id_="old", check="web", region="asia"),
    ])  # fmt: skip
    open_store(tmp_path / "state" / "smokeprobe", "", "https://other.example").add([record()])
    assert [each["id"] for each in objects(tmp_path, *wanted)] == found


def test_a_verdict_as_json_is_all_that_is_known_of_it(store: Store, tmp_path: Path) -> None:
    kept = replace(record("degraded"), step="request", judged_ms=240.0, limit_ms=200.0, version="1.2.3", run="r")
    store.add([kept, record(NO_DATA, 5)])
    degraded, nothing = objects(tmp_path)
    assert (degraded["kind"], degraded["outcome"], degraded["verdict"]) == ("verdict", "degraded", {"check": "api"})
    assert (degraded["step"], degraded["judged_ms"], degraded["limit_ms"]) == ("request", 240.0, 200.0)
    assert degraded["at"].endswith("+00:00")
    assert nothing["verdict"] is None


def test_runs(store: Store, tmp_path: Path) -> None:
    store.add_run(a_run("first", 20), [record()])
    store.add_run(a_run("second", 10, Outcome.FAILED), [])
    second, first = objects(tmp_path, "--runs")
    assert (first["kind"], first["id"], first["notes"]) == ("run", "first", ["one", "two"])
    assert (second["id"], second["exit_code"], second["budget_percent"]) == ("second", 1, 2.0)
    assert objects(tmp_path, "--runs", "--outcome", "passed") == [first]
    shown = history(tmp_path, "--runs").stdout
    assert shown.index("second") < shown.index("first")
    assert "1.2.3" in shown


def test_people_are_shown_a_table(store: Store, tmp_path: Path) -> None:
    slow = replace(record("degraded", 60), step="request", judged_ms=240.0, limit_ms=200.0)
    store.add([slow, replace(record(ago_s=120), flaky=True, attempts=2), replace(record(ago_s=9), verified=False)])
    ended = history(tmp_path)
    assert ended.returncode == 0
    assert "240 ms of 200 ms" in ended.stdout
    assert "2 attempts" in ended.stdout
    assert "(unverified)" in " ".join(ended.stdout.split())


def test_what_a_hostile_target_said_moves_no_cursor(store: Store, tmp_path: Path) -> None:
    store.add([replace(record("failed"), reason=HOSTILE, version=HOSTILE)])
    assert "\x1b" not in history(tmp_path).stdout
    assert "onerror" in objects(tmp_path)[0]["reason"]


class TestSays:
    def test_that_there_is_none_yet_and_makes_none(self, tmp_path: Path) -> None:
        ended = history(tmp_path)
        assert ended.returncode == 2
        assert "There is no history in" in ended.stderr
        assert not (tmp_path / "state").exists()

    def test_that_nothing_is_as_wanted(self, store: Store, tmp_path: Path) -> None:
        store.add([record()])
        ended = history(tmp_path, "--region", "mars")
        assert (ended.returncode, ended.stdout) == (0, f"Nothing of that is in the history of {TARGET}.\n")

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            (("--outcome", "fine"), "--outcome fine: no such outcome; one of passed, degraded"),
            (("--since", "yesterday"), "--since: 'yesterday' is not a time with its unit"),
            (("--runs", "--check", "api"), "Leave one of them out"),
        ],
    )
    def test_what_is_wrong(self, store: Store, tmp_path: Path, wrong: tuple[str, ...], said: str) -> None:
        store.add([record()])
        ended = history(tmp_path, *wrong)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert said in ended.stderr

    def test_that_it_cannot_be_read(self, store: Store, tmp_path: Path) -> None:
        store.add([record()])
        Path(store.place).write_bytes(b"a letter to my aunt" * 100)
        ended = history(tmp_path)
        assert ended.returncode == 3
        assert "Move the file away" in ended.stderr
