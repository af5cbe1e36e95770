"""Several processes on one ledger, as real ones."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.safety.ledger_child import HAMMER_LIMITS

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, path: Path) -> str:
    if request.param == "file":
        return str(path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url


def test_four_processes_on_one_ledger_stay_below_the_ceiling_when_one_of_them_is_killed(
    place: str, tmp_path: Path
) -> None:
    log = tmp_path / "arrivals"
    log.touch()
    command = [sys.executable, "-m", "tests.safety.ledger_child", "hammer", place, str(log)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    try:
        wait_for_arrivals(log, more=3)
        (busiest, _) = Counter(pid for pid, _, _ in arrivals(log)).most_common(1)[0]
        killed = next(process for process in processes if str(process.pid) == busiest)
        killed.send_signal(signal.SIGKILL)  # it may be the only one that gets on
        killed.wait()
        wait_for_arrivals(log, more=3)
        assert [process.poll() for process in processes if process is not killed] == [None] * 3
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
    sent = arrivals(log)
    assert len(Counter(pid for pid, _, _ in sent)) >= 2
    for one_limit in HAMMER_LIMITS:
        times = sorted(at for _, name, at in sent if name == one_limit.name)
        assert len(times) >= 6
        window_s = 10 * one_limit.window_s / one_limit.requests if one_limit.spaced else one_limit.window_s
        for first, beyond in zip(times, times[one_limit.slots :], strict=False):
            assert beyond - first > window_s


def arrivals(log: Path) -> list[tuple[str, str, float]]:
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(pid, name, float(at)) for pid, name, at in lines]


def wait_for_arrivals(log: Path, more: int) -> None:
    """Until so many more requests have arrived on each limit."""
    before = Counter(name for _, name, _ in arrivals(log))
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        now = Counter(name for _, name, _ in arrivals(log))
        if all(now[one_limit.name] >= before[one_limit.name] + more for one_limit in HAMMER_LIMITS):
            return
        time.sleep(0.02)
    raise AssertionError("the processes do not get on")
