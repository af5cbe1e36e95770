"""The ledger's file: reboots, other versions, locks, and where it cannot be written."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from probes.errors import LedgerError, PausedError
from probes.safety import ledger_file, ledger_tables
from probes.safety.ledger import Ledger
from probes.safety.ledger_file import LedgerFile
from probes.safety.permits import Meter
from tests.safety.budget import ENHANCE, TARGET, FakeClock
from tests.safety.ledger_help import CALL, HOLD_S, PERMIT_S, OnFile, no_room, reserve

ROOT = Path(__file__).parents[2]


class TestReboot(OnFile):
    @pytest.fixture
    def rebooted(self, path: Path) -> tuple[Ledger, FakeClock]:
        clock = FakeClock(5.0)
        return Ledger(LedgerFile(path, clock, lambda: "boot-2"), clock), clock

    def test_begins_every_hold_anew(self, ledger: Ledger, rebooted: tuple[Ledger, FakeClock]) -> None:
        after, clock = rebooted
        reserve(ledger, ENHANCE, quota={"enhance": 9}, deadline_s=1000)
        assert no_room(after, ENHANCE, quota={"enhance": 1}).retry_in_s == pytest.approx(HOLD_S)
        clock.now += 30
        assert no_room(after, ENHANCE, quota={"enhance": 1}).retry_in_s == pytest.approx(HOLD_S - 30)
        assert after.peaks(TARGET, [ENHANCE], 60) == {"enhance": 9}
        clock.now += HOLD_S - 30
        reserve(after, ENHANCE, quota={"enhance": 9})

    def test_forgets_what_was_past(self, ledger: Ledger, clock: FakeClock, rebooted: tuple[Ledger, FakeClock]) -> None:
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9})
        meter = Meter(granted, clock)
        meter.over(meter.admit(*CALL), answered=True)
        ledger.settle(granted, meter.usage())
        clock.now += HOLD_S + 0.001
        ledger.back_off(TARGET, [ENHANCE], 0, "a write, so that the file knows the time")
        after, _ = rebooted
        reserve(after, ENHANCE, quota={"enhance": 9})

    def test_ends_leases_but_frees_no_slots(self, ledger: Ledger, rebooted: tuple[Ledger, FakeClock]) -> None:
        after, _ = rebooted
        granted = reserve(ledger, ENHANCE, quota={"enhance": 9}, account="basic")
        reserve(after, quota={}, account="basic")
        after.settle(granted, Meter(granted).usage())
        no_room(after, ENHANCE, quota={"enhance": 1})

    def test_begins_pauses_and_back_offs_anew(
        self, ledger: Ledger, clock: FakeClock, rebooted: tuple[Ledger, FakeClock]
    ) -> None:
        ledger.pause(None, None, "for good", "hand")
        ledger.pause(TARGET, 600, "asked to", "target")
        ledger.pause("http://else", 5, "short", "hand")
        clock.now += 50
        ledger.back_off(TARGET, [ENHANCE], 30, "429")
        after, _ = rebooted
        assert [pause.remaining_s for pause in after.pauses(TARGET)] == [None, 600]
        assert [pause.why for pause in after.pauses("http://else")] == ["for good"]
        after.resume(None)
        with pytest.raises(PausedError, match="another 10 min"):
            reserve(after, quota={})


class TestFile(OnFile):
    def test_is_its_owners_alone(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, quota={})
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}

    def test_does_not_depend_on_the_time_of_day(self, ledger: Ledger, clock: FakeClock) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9})
        for time_of_day in (0.0, 4e9):
            with mock.patch("time.time", return_value=time_of_day):
                no_room(ledger, ENHANCE, quota={"enhance": 1})
        clock.now += PERMIT_S + HOLD_S
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_takes_the_machines_own_clock_and_boot(self, path: Path) -> None:
        reserve(Ledger(LedgerFile(path)), ENHANCE, quota={"enhance": 9})
        no_room(Ledger(LedgerFile(path)), ENHANCE, quota={"enhance": 1})

    @pytest.mark.parametrize("content", [b"no database at all\n" * 400, b"\0" * 8192])
    def test_that_is_no_database_is_refused_and_left_alone(self, ledger: Ledger, path: Path, content: bytes) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(LedgerError, match=f"(?s){path} cannot be used.*It is not replaced"):
            reserve(ledger, quota={})
        assert path.read_bytes() == content

    def test_that_is_damaged_is_refused_and_left_alone(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9})
        content = path.read_bytes()
        damaged = content[:4096] + b"\xa5" * (len(content) - 4096)
        path.write_bytes(damaged)
        for attempt in (lambda: reserve(ledger, ENHANCE, quota={"enhance": 1}), lambda: ledger.pauses(TARGET)):
            with pytest.raises(LedgerError, match="It is not replaced"):
                attempt()
        assert path.read_bytes() == damaged

    def test_of_another_program_is_refused(self, ledger: Ledger, path: Path) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE theirs (x)")
        with pytest.raises(LedgerError, match="another program's database"):
            reserve(ledger, quota={})

    def test_of_a_newer_version_is_refused(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, quota={})
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {ledger_tables.VERSION + 1}")
        with pytest.raises(LedgerError, match=r"is of version 4, this program knows version 3.*newer version"):
            reserve(ledger, quota={})

    def test_of_the_version_before_is_carried_on(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, ENHANCE, quota={"enhance": 9})
        with closing(sqlite3.connect(path)) as db:
            db.execute("ALTER TABLE holds DROP COLUMN egress")
            db.execute("PRAGMA user_version = 2")
        no_room(ledger, ENHANCE, quota={"enhance": 1}, egress="us")
        assert ledger.peaks(TARGET, [ENHANCE], 60) == {"enhance": 9}
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (3,)

    def test_of_version_1_is_refused(self, ledger: Ledger, path: Path) -> None:
        reserve(ledger, quota={})
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 1")
        with pytest.raises(LedgerError, match=r"is of version 1.*It is not replaced"):
            reserve(ledger, quota={})

    def test_that_is_a_directory_is_refused(self, ledger: Ledger, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(LedgerError, match="cannot be used"):
            reserve(ledger, quota={})

    def test_whose_directory_cannot_be_made_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LedgerError, match="Make the state directory writable"):
            Ledger(LedgerFile(tmp_path / "file" / "ledger.sqlite")).pauses(TARGET)

    def test_that_stays_locked_is_an_error_that_says_so(
        self, ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger_file, "BUSY_S", 0.05)
        reserve(ledger, quota={})
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match="Another process has held it"):
                reserve(ledger, ENHANCE, quota={"enhance": 9})
            assert ledger.pauses(TARGET) == []
        reserve(ledger, ENHANCE, quota={"enhance": 9})

    def test_that_stays_locked_keeps_nobody_else_waiting(self, path: Path) -> None:
        """Other greenlets go on; and whoever asks after a wait in vain is told at once."""
        script = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent, sqlite3, sys, time
from pathlib import Path
from probes.errors import LedgerError
from probes.safety import ledger_file
from probes.safety.ledger import Ledger
from probes.safety.ledger_file import LedgerFile
from tests.safety.budget import ENHANCE, permit
ledger_file.BUSY_S = 0.5
ledger, ticks, waits = Ledger(LedgerFile(Path(sys.argv[1]))), [], []
ledger.pauses("")
sqlite3.connect(sys.argv[1], isolation_level=None).execute("BEGIN IMMEDIATE")
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)
gevent.spawn(tick)
for _ in range(20):
    begun = time.monotonic()
    try:
        ledger.reserve(permit(ENHANCE, quota={"enhance": 1}), share_fraction=1)
    except LedgerError:
        waits.append(time.monotonic() - begun)
print(len(ticks), len(waits), max(waits) > 0.4, sum(wait > 0.4 for wait in waits) < 10)
"""
        command = [sys.executable, "-c", script, str(path)]
        ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        ticks, *rest = ran.stdout.split()
        assert int(ticks) >= 3
        assert rest == ["20", "True", "True"]


def child(*args: object) -> str:
    command = [sys.executable, "-m", "tests.safety.ledger_child", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that other users can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class TestUnwritable:
    def test_directory_of_another_user(self, open_dir: Path) -> None:
        open_dir.chmod(0o555)
        answer = child("other-user", open_dir / "ledger.sqlite")
        assert answer.startswith("LedgerError")
        assert "Make the state directory writable" in answer

    def test_file_in_a_directory_of_another_user(self, open_dir: Path) -> None:
        path = open_dir / "ledger.sqlite"
        reserve(Ledger(LedgerFile(path)), quota={})
        for mode in (0o400, 0o444, 0o666 if os.geteuid() == 0 else 0o444):
            path.chmod(mode)
            open_dir.chmod(0o555)
            answer = child("other-user", path)
            assert answer.startswith("LedgerError")
            assert "Make the state directory writable" in answer

    def test_for_want_of_space(self, path: Path) -> None:
        assert child("full", path).startswith("LedgerError")
        reserve(Ledger(LedgerFile(path)), quota={})  # what was begun does no harm once there is space again
        before = path.read_bytes()
        answer = child("full", path)
        assert answer.startswith("LedgerError")
        assert "disk" in answer
        assert path.read_bytes() == before
