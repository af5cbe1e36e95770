"""Files are written whole or not at all, and what goes wrong is said in one sentence."""

import os
import stat
from pathlib import Path

import pytest

from probes import files
from probes.errors import ConfigError, SmokeprobeError
from probes.files import refuse_folder, write_atomically


def test_text_and_bytes_are_written_with_their_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "new" / "a.txt", "grün\n")
        write_atomically(tmp_path / "b.bin", b"\x00\xff", mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a.txt").read_bytes() == "grün\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "b.bin").stat().st_mode) == 0o600


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old and longer")
    path.chmod(0o666)
    with path.open() as reader:
        write_atomically(path, "new", mode=0o600)
        assert reader.read() == "old and longer"  # who has it open keeps what he began to read
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_atomically(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(tmp_path / "pipe", "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_pipe_that_nobody_reads_from_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SmokeprobeError, match=r"cannot write .*/pipe: nobody reads from it\. Start its reader"):
        write_atomically(tmp_path / "pipe", "x")


def test_a_reader_that_stops_reading_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE_S", 0.02)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(SmokeprobeError, match=r"cannot write .*/pipe: its reader does not read"):
            write_atomically(tmp_path / "pipe", b"x" * 3_000_000)  # more than any pipe holds unread
    finally:
        os.close(reader)


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    refuse_folder("")
    refuse_folder(str(tmp_path / "report.json"))
    with pytest.raises(ConfigError, match=r"cannot write a report to .*: it is a folder\. Name a file in it\."):
        refuse_folder(str(tmp_path))


def test_half_a_surrogate_does_not_cost_the_report(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "x\ud83dy")
    assert (tmp_path / "a.txt").read_text() == "x\\ud83dy"


def test_a_folder_in_the_way_is_said_plainly_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(SmokeprobeError, match=r"cannot write .*/a: Is a directory\. Name a file in a folder"):
        write_atomically(tmp_path / "a", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_file_where_a_folder_should_be_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(SmokeprobeError, match=r"cannot write .*/a/b: (Not a directory|File exists)"):
        write_atomically(tmp_path / "a" / "b", "x")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(SmokeprobeError, match="cannot write /dev/full: No space left on device"):
        write_atomically(Path("/dev/full"), "x" * 100)
    path = tmp_path / "a.txt"
    path.write_text("old")
    import resource  # the limit below stands in for a full disk: the same refusal in the middle of writing
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(SmokeprobeError, match=r"cannot write .*/a.txt: File too large"):
            write_atomically(path, "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
