"""The connection that a ledger's file is read by: kept, but never where it could do harm."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from probes.errors import LedgerError
from probes.safety.ledger import Ledger
from probes.safety.ledger_file import LedgerFile

TARGET = "http://127.0.0.1:8089"


@pytest.fixture
def file(tmp_path: Path) -> LedgerFile:
    return LedgerFile(tmp_path / "ledger.sqlite3")


@pytest.fixture
def ledger(file: LedgerFile) -> Ledger:
    ledger = Ledger(file)
    assert ledger.pauses(TARGET) == []
    return ledger


def open_files(path: Path) -> int:
    folder = Path(f"/proc/{os.getpid()}/fd")
    return sum(os.path.realpath(entry) == str(path) for entry in folder.iterdir())


def pause_elsewhere(path: Path) -> None:
    """Another process pauses, at once: nobody may hold a lock meanwhile."""
    code = "import sys; from pathlib import Path; from probes.safety.ledger import open_ledger; "
    code += "open_ledger(Path(sys.argv[1])).pause(None, None, 'elsewhere', 'hand')"
    subprocess.run([sys.executable, "-c", code, str(path.parent)], check=True, timeout=20)


def test_one_connection_is_kept_and_holds_no_lock(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    for _ in range(5):
        assert ledger.pauses(TARGET) == []
    assert open_files(path) == 1
    pause_elsewhere(path)
    assert [pause.why for pause in ledger.pauses(TARGET)] == ["elsewhere"]
    ledger.resume(None)
    assert ledger.pauses(TARGET) == []
    assert open_files(path) == 1


def test_it_ends_with_its_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    assert Ledger(LedgerFile(path)).pauses(TARGET) == []
    assert open_files(path) == 0


def test_a_file_that_was_removed_or_replaced_is_not_read_any_more(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.unlink()
    assert ledger.pauses(TARGET) == []
    assert path.exists()
    (tmp_path / "other").mkdir()
    pause_elsewhere(tmp_path / "other" / "ledger.sqlite3")
    (tmp_path / "other" / "ledger.sqlite3").rename(path)
    assert [pause.why for pause in ledger.pauses(TARGET)] == ["elsewhere"]
    assert open_files(path) == 1


def test_a_file_of_another_version_is_seen_though_it_is_open(ledger: Ledger, tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "ledger.sqlite3")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerError, match="of version 99"):
        ledger.pauses(TARGET)


def test_each_thread_has_its_own(ledger: Ledger) -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(ledger.pauses(TARGET)))
    thread.start()
    thread.join()
    assert found == [[]]
    assert ledger.pauses(TARGET) == []


def read_in_a_child(ledger: Ledger) -> int:
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if ledger.pauses(TARGET) == [] else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_does_not_touch_its_parents(ledger: Ledger, file: LedgerFile) -> None:
    with file.reading() as (db, _):
        assert read_in_a_child(ledger) == 0
        assert db.execute("SELECT count(*) FROM pauses").fetchone() == (0,)
    assert read_in_a_child(ledger) == 0
    assert ledger.pauses(TARGET) == []


def test_reading_within_reading(file: LedgerFile, ledger: Ledger, tmp_path: Path) -> None:
    with file.reading() as (outer, _):
        assert ledger.pauses(TARGET) == []
        assert outer.execute("SELECT count(*) FROM permits").fetchone() == (0,)
    assert open_files(tmp_path / "ledger.sqlite3") == 1


def test_what_is_raised_within_leaves_it_usable(file: LedgerFile, ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), file.reading():
        raise ZeroDivisionError
    with pytest.raises(LedgerError), file.reading() as (db, _):
        db.execute("SELECT nothing FROM nowhere")
    ledger.pause(None, 5.0, "it can still be written", "hand")
    assert len(ledger.pauses(TARGET)) == 1
