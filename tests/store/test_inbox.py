"""Runs that wait beside the history's file: each is taken in once, whoever comes first."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from probes.errors import StoreError
from probes.store.database import existing_database, open_database
from probes.store.inbox import Inbox, read_letter
from probes.store.reader import Reader, Wanted
from probes.store.record import KEEP_S, Record, Run
from probes.store.store import open_store

TARGET = "https://shop.example"
AT = time.time()


def run_of(id_: str, at: float = AT) -> Run:
    return Run(id_, at, "local", "here", verified=False, mode="run", duration_s=1.0, outcome="passed", exit_code=0)


def record_of(id_: str, run: str, at: float = AT) -> Record:
    return Record(id_, at, "here", verified=False, check="api", outcome="passed", run=run, version="1.2.3")


def put(folder: Path, *ids: str, at: float = AT) -> None:
    for id_ in ids:
        Inbox(folder).put(TARGET, run_of(id_, at), [record_of(f"{id_}-api", id_, at)])


def runs(folder: Path) -> list[Run]:
    return Reader(existing_database(folder, ""), TARGET).runs(Wanted())


def test_whoever_reads_takes_in_what_waits(tmp_path: Path) -> None:
    put(tmp_path, "one", "two")
    assert not (tmp_path / "history.sqlite3").exists()
    reader = Reader(existing_database(tmp_path, ""), TARGET)
    assert {run.id for run in reader.runs(Wanted())} == {"one", "two"}
    assert {record.id for record in reader.records(Wanted())} == {"one-api", "two-api"}
    assert Inbox(tmp_path).waiting() == []
    put(tmp_path, "three")  # while it is open
    assert {run.id for run in reader.runs(Wanted())} == {"one", "two", "three"}


def test_it_is_as_it_was_put(tmp_path: Path) -> None:
    run = replace(run_of("one"), notes="a\nb", budget_percent=1.5, version="1")
    record = replace(record_of("r", "one"), judged_ms=3.25, limit_ms=100.0, verdict='{"a": "\\u0000"}')
    Inbox(tmp_path).put(TARGET, run, [record])
    assert runs(tmp_path) == [run]
    assert Reader(existing_database(tmp_path, ""), TARGET).records(Wanted()) == [record]


def test_one_that_was_written_but_not_removed_is_counted_once(tmp_path: Path) -> None:
    put(tmp_path, "one")
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "history-inbox", kept)
    assert len(runs(tmp_path)) == 1
    shutil.copytree(kept, tmp_path / "history-inbox", dirs_exist_ok=True)  # as if killed before it was removed
    assert len(runs(tmp_path)) == 1
    with open_database(tmp_path, "").transaction(writes=False) as connection:
        assert connection.exec_driver_sql("SELECT sum(passed) FROM hours").scalar() == 1


def test_many_at_once_take_each_in_once(tmp_path: Path) -> None:
    names = [f"run-{number}" for number in range(20)]
    open_store(tmp_path, "", TARGET).last("", (), 1)
    put(tmp_path, *names)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: runs(tmp_path), range(4)))
    assert sorted(run.id for run in runs(tmp_path)) == sorted(names)
    with open_database(tmp_path, "").transaction(writes=False) as connection:
        assert connection.exec_driver_sql("SELECT sum(passed) FROM hours").scalar() == len(names)


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "{}", '{"target": "t", "run": {}, "records": []}', "[" * 100_000, '{"target": 1, "run": 2}'],
)
def test_what_is_none_is_put_aside_and_keeps_no_other_out(tmp_path: Path, text: str) -> None:
    put(tmp_path, "one")
    (tmp_path / "history-inbox" / "0.json").write_text(text)
    assert [run.id for run in runs(tmp_path)] == ["one"]
    assert [path.name for path in (tmp_path / "history-inbox").iterdir()] == ["0.damaged"]


def test_a_number_that_the_file_has_no_room_for_is_put_aside(tmp_path: Path) -> None:
    put(tmp_path, "one")
    Inbox(tmp_path).put(TARGET, replace(run_of("two"), exit_code=1 << 70), [])
    assert [run.id for run in runs(tmp_path)] == ["one"]
    assert [path.suffix for path in (tmp_path / "history-inbox").iterdir()] == [".damaged"]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    put(tmp_path, "one")
    (path,) = Inbox(tmp_path).waiting()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert json.loads(path.read_text())["target"] == TARGET


def test_what_somebody_else_has_taken_in_is_none(tmp_path: Path) -> None:
    assert read_letter(tmp_path / "gone.json") is None


def test_without_a_folder_say_so(tmp_path: Path) -> None:
    (tmp_path / "history-inbox").write_text("")
    with pytest.raises(StoreError, match="history-inbox cannot be written"):
        put(tmp_path, "one")


def test_what_is_old_goes_as_it_is_taken_in(tmp_path: Path) -> None:
    put(tmp_path, "old", at=1_000_000.0)
    put(tmp_path, "new", at=AT + 10 * KEEP_S)
    assert [run.id for run in runs(tmp_path)] == ["new"]
