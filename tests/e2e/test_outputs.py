"""A broken output costs neither the run nor its other reports, and whatever ends a run leaves a report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import IO, Any

import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import CHECKS, Runner, assert_left_nothing
from tests.waiting import until

QUICK = ("--no-browser", "--check", "api")


def run_into(output: int | IO[Any], runner: Runner, *arguments: str) -> tuple[int, str, Path]:
    line, report = runner.command(*QUICK, *arguments)
    done = subprocess.run(
        line, stdout=output, stderr=subprocess.PIPE, env=runner.environment(), text=True, check=False, timeout=50
    )
    return done.returncode, done.stderr, report


def test_a_full_disk_behind_standard_output(runner: Runner) -> None:
    with Path("/dev/full").open("w") as full:
        code, said, report = run_into(full, runner)
    assert code == 0, said
    assert "Standard output cannot be written to (No space left on device)" in said
    assert "Traceback" not in said
    assert json.loads(report.read_text())["exit_code"] == 0


def test_a_reader_of_standard_output_that_has_gone(runner: Runner) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code, said, report = run_into(writer, runner)
    finally:
        os.close(writer)
    assert code == 0, said
    assert said.count("\n") == 1
    assert json.loads(report.read_text())["exit_code"] == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_no_standard_output_at_all(runner: Runner, closed: str) -> None:
    line, report = runner.command(*QUICK)
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *line]
    done = subprocess.run(shell, env=runner.environment(), capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(report.read_text())["exit_code"] == 0


def test_on_a_terminal_a_run_shows_how_far_it_is(target: StandIn, runner: Runner) -> None:
    target.set_faults("first-503")
    leader, follower = os.openpty()
    line, _ = runner.command(*QUICK)
    env = {**runner.environment(), "TERM": "xterm", "COLUMNS": "90"}
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, env=env) as run:
        os.close(follower)
        shown = "".join(until_closed(leader))
    assert run.returncode == 0, shown
    frames = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(r"api +running +\d", frames), frames
    assert re.search(r"api +running +attempt 2 +\d", frames), frames
    assert frames.rstrip().endswith("left out"), frames
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def until_closed(terminal: int) -> Iterator[str]:
    with os.fdopen(terminal, "rb", buffering=0) as read:
        try:
            while data := read.read(4096):
                yield data.decode()
        except OSError:  # as Linux tells that nobody has the other end any more
            return


def test_a_pipe_without_a_reader_costs_one_report(runner: Runner, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ran = runner.run(*QUICK, "--junit-file", str(tmp_path / "pipe"), "--html-file", str(tmp_path / "r.html"))
    assert ran.code == 3, ran.story()
    assert f"cannotwrite{tmp_path}/pipe:nobodyreadsfromit." in "".join(ran.stdout.split())  # wrapped wherever it falls
    assert ran.outcome("api") == "passed"
    assert (tmp_path / "r.html").exists()


def test_a_pipe_with_a_reader_is_a_place_for_a_report(runner: Runner, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    ran = runner.run(*QUICK, "--junit-file", str(pipe))
    reader.join(timeout=10)
    assert ran.code == 0, ran.story()
    assert "</testsuites>" in read[0]


@pytest.mark.parametrize("flag", ["--json-file", "--junit-file", "--html-file"])
def test_a_folder_is_refused_before_anything_is_sent(
    target: StandIn, runner: Runner, tmp_path: Path, flag: str
) -> None:
    ran = runner.run(*QUICK, flag, str(tmp_path))
    assert ran.code == 2, ran.story()
    assert f"cannot write a report to {tmp_path}: it is a folder." in ran.stderr
    assert target.ledger() == []


def test_a_hang_up_is_heeded_like_any_other_end(target: StandIn, runner: Runner) -> None:
    target.set_faults("hang")
    with runner.started("--no-browser") as running:
        assert until(target.ledger)
        running.process.send_signal(signal.SIGHUP)
        ran = running.end()
    assert ran.code == 129, ran.story()
    assert set(ran.checks) == set(CHECKS)
    assert {ran.outcome(check) for check in CHECKS} <= {"error", "skipped"}
    assert_left_nothing(target)


def test_under_nohup_a_hang_up_is_nothing(runner: Runner) -> None:
    with runner.started(*QUICK, prefix=("nohup",)) as running:
        assert until(lambda: catches(running.process.pid, signal.SIGTERM))
        running.process.send_signal(signal.SIGHUP)
        assert running.end().code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_the_first_moment_leaves_a_report(target: StandIn, runner: Runner, number: signal.Signals) -> None:
    with runner.started() as running:
        assert until(lambda: catches(running.process.pid, signal.SIGTERM))
        running.process.send_signal(number)
        ran = running.end()
    assert ran.code == 128 + number, ran.story()
    assert "Traceback" not in ran.stdout + ran.stderr
    assert ran.report["exit_code"] == 128 + number
    assert set(ran.checks) == set(CHECKS)
    assert_left_nothing(target)


def catches(process: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for this signal (see proc(5), SigCgt)."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = next((line for line in status.splitlines() if line.startswith("SigCgt")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
