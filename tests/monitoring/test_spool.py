"""What lies on disk is whole, private, bounded, sent by one process at a time, and outlives its writer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes.errors import SmokeprobeError
from probes.monitoring import spool as spool_module
from probes.monitoring.samples import Sample
from probes.monitoring.spool import Spool
from tests.waiting import until

WRITER = """
import sys
from pathlib import Path
from probes.monitoring.spool import Spool
from tests.monitoring.test_spool import samples
spool, number = Spool(Path(sys.argv[1])), 0
while True:
    spool.write(samples(50, number))
    number += 1
"""
HOLDER = """
import sys, time
from pathlib import Path
from probes.monitoring.spool import Spool
with Spool(Path(sys.argv[1])).to_be_sent() as batches:
    print(len(batches), flush=True)
    time.sleep(60)
"""


def samples(count: int, first: int = 0) -> list[Sample]:
    tags = (("env", "local"), ("check", "api"))
    return [Sample("smoke_test.success", 1.0, "gauge", "", tags, 1.5e9 + first + n) for n in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "local" / "datadog"


def test_what_was_written_is_read_as_it_was(folder: Path) -> None:
    spool = Spool(folder)
    spool.write(samples(3))
    spool.write(samples(2, 100))
    assert spool.waiting == 5
    with spool.to_be_sent() as batches:
        assert [batch.read() for batch in batches] == [samples(3), samples(2, 100)]
        batches[0].remove()
    assert Spool(folder).waiting == 2


def test_it_is_for_its_owner_alone(folder: Path) -> None:
    spool = Spool(folder)
    spool.write(samples(1))
    (file,) = spool.batches()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_oldest_goes_where_there_is_no_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MOST_FILES", 3)
    spool = Spool(folder)
    assert [spool.write(samples(10, number)) for number in range(5)] == [0, 0, 0, 10, 10]
    assert [batch.read() for batch in spool.batches()] == [samples(10, number) for number in (2, 3, 4)]


def test_a_file_that_is_none_of_ours_is_told_apart(folder: Path) -> None:
    spool = Spool(folder)
    spool.write(samples(4))
    (batch,) = spool.batches()
    batch.path.write_text('[{"name": "x"')
    assert batch.read() is None
    assert batch.count == 4


def test_what_else_lies_there_is_let_alone(folder: Path) -> None:
    spool = Spool(folder)
    spool.write(samples(2))
    for name in ("a-b-c-x9.json", "1-2-3-9999999.json", "1-2-3-4.json.bak"):
        (folder / name).write_text("[]")
    (folder / "0-1-0-5.json").mkdir()
    os.mkfifo(folder / "0-1-1-5.json")
    (folder / "0-1-2-5.json").symlink_to("/dev/zero")
    assert [batch.count for batch in spool.batches()] == [2]
    assert spool.waiting == 2


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "null"])
def test_a_value_or_a_time_that_is_no_number_is_none_of_ours(folder: Path, value: str) -> None:
    spool = Spool(folder)
    spool.write(samples(1))
    (batch,) = spool.batches()
    right = batch.path.read_text()
    for field, was in (("value", "1.0"), ("at", "1500000000.0")):
        spoilt = right.replace(f'"{field}":{was}', f'"{field}":{value}')
        assert spoilt != right
        batch.path.write_text(spoilt)
        assert batch.read() is None


def test_no_more_is_read_than_we_ever_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder)
    spool.write(samples(5))
    (batch,) = spool.batches()
    monkeypatch.setattr(spool_module, "MOST_BYTES", batch.path.stat().st_size)
    assert len(batch.read() or ()) == 5
    batch.path.write_bytes(batch.path.read_bytes() + b" ")
    assert batch.read() is None


def test_one_process_at_a_time_sends_and_its_end_is_the_end_of_that(folder: Path) -> None:
    spool = Spool(folder)
    spool.write(samples(1))
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "1\n"
        with spool.to_be_sent() as batches:
            assert batches == []
        spool.write(samples(1))  # writing needs nobody's leave
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with spool.to_be_sent() as batches:
        assert len(batches) == 2


def test_a_writer_that_is_killed_leaves_whole_batches(folder: Path) -> None:
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)])
        before = len(Spool(folder).batches())
        assert until(lambda: len(Spool(folder).batches()) > before + 2)  # noqa: B023 - called at once
        writer.kill()
        writer.wait()
    found = Spool(folder).batches()
    assert len(found) > 10
    assert all(len(batch.read() or ()) == batch.count == 50 for batch in found)


def test_what_a_killed_writer_had_begun_is_taken_away(folder: Path) -> None:
    spool = Spool(folder)
    spool.write(samples(1))
    begun, just_now = (folder / f".0-1-0-9.json.{name}" for name in ("abc", "def"))
    for file in (begun, just_now):
        file.write_text("[")
    os.utime(begun, (1, 1))
    spool.write(samples(1))
    assert (begun.exists(), just_now.exists()) == (False, True)
    assert spool.waiting == 2


def test_a_folder_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    spool = Spool(tmp_path / "spool" / "datadog")
    assert spool.waiting == 0
    with pytest.raises(SmokeprobeError, match="cannot make"):
        spool.write(samples(1))
    with spool.to_be_sent() as batches:
        assert batches == []


def test_writing_takes_no_time_that_anybody_would_notice(folder: Path) -> None:
    spool = Spool(folder)
    begun = time.perf_counter()
    spool.write(samples(500))
    assert time.perf_counter() - begun < 0.5
