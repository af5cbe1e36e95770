"""The history in a real file: what it keeps, what counts once, and what it says when it cannot be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from probes.errors import StoreError
from probes.store import database as database_module
from probes.store.record import NO_DATA, Record
from probes.store.store import Store, open_store
from probes.store.tables import VERSION
from tests.reports.sample import HOSTILE
from tests.store.sample import TARGET, record

ROOT = Path(__file__).parents[2]
NEWER = rf"is of version {VERSION + 1}, this program knows version {VERSION}\. Run the version"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def path(state: Path) -> Path:
    return state / "history.sqlite3"


@pytest.fixture
def store(state: Path) -> Store:
    return open_store(state, "", TARGET)


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (rows,) = db.execute("SELECT count(*) FROM history").fetchone()
    return int(rows)


def child(*args: object) -> str:
    command = [sys.executable, "-m", "tests.store.child", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=50).stdout


class TestKeeps:
    def test_all_of_a_record(self, store: Store) -> None:
        kept = [record("failed", 2), record(NO_DATA, 1), replace(record("passed"), flaky=True, attempts=2)]
        assert store.add(kept) == []
        assert store.last("eu", ["api"], 10) == kept

    def test_each_once_whoever_writes_it_and_however_often(self, store: Store, state: Path, path: Path) -> None:
        first, second = record("passed"), record("failed")
        store.add([first])
        open_store(state, "", TARGET).add([replace(first, outcome="failed"), second])
        assert [(each.id, each.outcome) for each in store.last("eu", ["api"], 10)] == [
            (first.id, "passed"),
            (second.id, "failed"),
        ]
        assert count(path) == 2

    def test_what_a_hostile_target_says(self, store: Store) -> None:
        assert store.add([replace(record("failed"), reason=HOSTILE, version=HOSTILE)]) == []
        (kept,) = store.last("eu", ["api"], 1)
        assert kept.reason.startswith("</script><img src=x")
        assert "\0" not in kept.reason

    def test_what_it_can_of_several(self, store: Store, path: Path) -> None:
        bad = replace(record(), at=None)  # type: ignore[arg-type]  # what a mistake of ours may come to
        assert store.add([record(), bad, record()]) == [bad]
        assert count(path) == 2

    def test_the_newest_of_each_check_the_oldest_first(self, store: Store) -> None:
        kept = [record("passed", ago, check=check) for check in ("api", "health") for ago in (30, 20, 10)]
        store.add(list(reversed(kept)))
        assert store.last("eu", ["api", "health", "unknown"], 2) == [kept[1], kept[2], kept[4], kept[5]]

    def test_the_last_verdict_however_long_there_was_no_data(self, store: Store) -> None:
        verdict, older = record("failed", 5000), record("passed", 6000)
        nothing = [record(NO_DATA, 100 - ago) for ago in range(40)]
        store.add([older, verdict, *nothing])
        assert store.last("eu", ["api"], 30) == [verdict, *nothing[-30:]]

    def test_regions_and_targets_apart(self, store: Store, state: Path) -> None:
        store.add([record(region="us")])
        open_store(state, "", "https://other.example").add([record()])
        assert store.last("eu", ["api"], 10) == []

    def test_what_is_old_no_longer(self, store: Store, path: Path) -> None:
        store.add([record("passed", 100 * number) for number in range(10)])
        assert store.forget(450, 3) == 3
        assert store.forget(450, 3) == 2
        assert store.forget(450, 3) == 0
        assert count(path) == 5


class TestFile:
    def test_is_its_owners_alone(self, store: Store, state: Path, path: Path) -> None:
        store.add([record()])
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        with closing(sqlite3.connect(path)) as db:  # as long as it is open, what belongs to WAL is there too
            db.execute("SELECT * FROM history").fetchall()
            assert len(list(state.iterdir())) == 3
            assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}

    def test_lets_a_reader_keep_no_writer_waiting(self, store: Store, path: Path) -> None:
        store.add([record()])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM history").fetchone() == (1,)
            begun = time.monotonic()
            store.add([record()])
            assert time.monotonic() - begun < 1.0
            assert reader.execute("SELECT count(*) FROM history").fetchone() == (1,)

    def test_that_was_taken_away_is_made_anew(self, store: Store, state: Path, path: Path) -> None:
        store.add([record()])
        for file in state.iterdir():
            file.unlink()
        with pytest.raises(StoreError):
            store.add([record()])
        store.add([record()])
        assert count(path) == 1

    @pytest.mark.parametrize("content", [b"no database at all\n" * 400, b"\0" * 8192])
    def test_that_is_no_database_is_refused_and_left_alone(self, store: Store, path: Path, content: bytes) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(StoreError, match=f"The history in {path} cannot be used: .*Move the file away"):
            store.add([record()])
        assert path.read_bytes() == content

    def test_of_another_version_is_refused_and_left_alone(self, store: Store, path: Path) -> None:
        store.add([record()])
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE history_version SET version = ?", (VERSION + 1,))
        for attempt in range(2):
            with pytest.raises(StoreError, match=NEWER):
                open_store(path.parent, "", TARGET).add([record("failed", attempt)])
        assert count(path) == 1

    def test_that_stays_locked_says_so_and_writes_later(
        self, store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database_module, "BUSY_S", 0.1)
        store.add([record()])
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"database is locked\. Another process has held it"):
                store.add([record()])
            assert len(store_read(path)) == 1
        store.add([record()])
        assert count(path) == 2

    def test_in_a_folder_that_is_none_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="Make the state directory writable"):
            open_store(tmp_path / "file", "", TARGET).add([record()])


def store_read(path: Path) -> list[Record]:
    return open_store(path.parent, "", TARGET).last("eu", ["api"], 10)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that other users can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class TestOtherProcesses:
    def test_that_is_killed_while_it_writes_leaves_all_that_it_had_written(self, state: Path, path: Path) -> None:
        """Several times, as it may be anywhere in the middle."""
        written: set[str] = set()
        for _ in range(4):
            command = [sys.executable, "-m", "tests.store.child", "hammer", str(state)]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                written |= {process.stdout.readline().strip() for _ in range(50)}
                process.send_signal(signal.SIGKILL)
                written |= {line.strip() for line in process.stdout.read().splitlines() if len(line.strip()) == 32}
            assert open_store(state, "", TARGET).add([record(id_=f"after {len(written)}")]) == []
            with closing(sqlite3.connect(path)) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert written <= {row[0] for row in db.execute("SELECT id FROM history")}

    def test_that_write_the_same_at_once_write_it_once(self, state: Path, path: Path) -> None:
        command = [sys.executable, "-m", "tests.store.child", "race", str(state), "100"]
        racing = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
        assert [process.wait(50) for process in racing] == [0, 0, 0]
        assert count(path) == 100

    def test_of_another_user_say_what_to_do(self, open_dir: Path) -> None:
        open_store(open_dir, "", TARGET).add([record()])
        (open_dir / "history.sqlite3").chmod(0o444)
        open_dir.chmod(0o555)
        answer = child("other-user", open_dir)
        assert answer.startswith("StoreError")
        assert "Make the state directory writable" in answer
        assert count(open_dir / "history.sqlite3") == 1

    @pytest.mark.parametrize("room", [1024, 20480])
    def test_without_room_on_the_disk_say_so_and_spoil_nothing(self, state: Path, path: Path, room: int) -> None:
        if room > 1024:
            open_store(state, "", TARGET).add([record()])
        answer = child("full", state, room)
        assert answer.startswith("StoreError")
        assert "disk" in answer
        assert os.path.getsize(path) % 4096 == 0  # noqa: PTH202 - of pages that are whole
        assert open_store(state, "", TARGET).add([record()]) == []
