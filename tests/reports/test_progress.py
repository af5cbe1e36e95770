"""The display during a run, on a terminal and elsewhere."""

import io
import re
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest
from rich.console import Console

from probes.reports.progress import live
from tests.reports import sample


@dataclass
class _Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def _frames(text: str) -> list[str]:
    """What was drawn each time, without colours and movements of the cursor."""
    frames = re.split(r"(?:\x1b\[1A\x1b\[2K|\r\x1b\[2K)+", text)
    return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame) for frame in frames]


def test_elsewhere_there_are_plain_lines() -> None:
    stream = io.StringIO()
    with live(Console(file=stream), ["health", "enhancement"]) as progress:
        progress.started("health")
        progress.attempt("health", 1)
        progress.attempt("health", 2)
        progress.tick()
        progress.finished(sample.FAILED_HEALTH)
        progress.started("enhancement")
        progress.finished(sample.ENHANCEMENT)
        progress.note("waiting 3 s\x1b[2J for room")
    assert stream.getvalue().splitlines() == [
        "health       started",
        "health       attempt 2 ...",
        f"health       failed in 31 ms: {sample.BROKEN}",
        "enhancement  started",
        "enhancement  passed in 0.4 s",
        "waiting 3 s?[2J for room",
    ]


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = io.StringIO()
    with live(Console(file=stream, force_terminal=True), ["health"]) as progress:
        progress.started("health")
    assert stream.getvalue() == "health  started\n"


def test_on_a_terminal_there_is_a_table_that_moves_without_a_thread() -> None:
    stream = io.StringIO()
    clock = _Clock()
    threads = threading.active_count()
    with live(Console(file=stream, force_terminal=True, width=80), ["health", "api"], clock) as progress:
        progress.started("health")
        clock.now += 1.2
        progress.attempt("health", 2)
        assert threading.active_count() == threads
        clock.now += 0.1
        progress.tick()
        progress.note("a note")
        progress.finished(sample.FAILED_HEALTH)
    text = stream.getvalue()
    lines = [[" ".join(line.split()) for line in frame.splitlines()] for frame in _frames(text)]
    assert ["⠋ health running 0 ms", "api waiting"] in lines
    assert ["⠹ health running attempt 2 1.2 s", "api waiting"] in lines
    assert ["⠸ health running attempt 2 1.3 s", "api waiting"] in lines
    assert ["✗ health failed attempt 3 31 ms", "api waiting"] in lines
    assert "a note" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back


def test_a_terminal_without_utf8_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with live(Console(file=stream, force_terminal=True, width=80), ["health"], _Clock()) as progress:
        progress.started("health")
        progress.finished(sample.FAILED_HEALTH)
    stream.flush()
    assert "| health" in raw.getvalue().decode("ascii")
    assert "x health" in raw.getvalue().decode("ascii")


def test_the_terminal_is_given_back_after_an_error() -> None:
    stream = io.StringIO()
    display = live(Console(file=stream, force_terminal=True), ["health"])
    with pytest.raises(ZeroDivisionError), display as progress:
        progress.note(str(1 // 0))
    assert stream.getvalue().rstrip().endswith(("\x1b[?25h", "\x1b[2K"))


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, sys, threading
from rich.console import Console
from probes.reports.progress import live
console = Console(file=sys.stdout, force_terminal=True, width=80)
with live(console, ["health"]) as progress:
    def ticking():
        while True:
            progress.tick()
            gevent.sleep(0.01)
    ticker = gevent.spawn(ticking)
    progress.started("health")
    gevent.sleep(0.1)
    assert threading.active_count() == 1
    ticker.kill()
print("done")
"""


def test_it_lives_under_gevent_without_a_thread() -> None:
    run = subprocess.run([sys.executable, "-c", UNDER_GEVENT], capture_output=True, text=True, check=False, timeout=30)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("health") > 3
    assert run.stdout.endswith("done\n")
