"""Processes that are measured: one run of the command, timed, counted, and always ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.measurement import CannotMeasureError

LAST_WORDS = 600
SMOKEPROBE = str(Path(sys.executable).with_name("smokeprobe"))


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process cost: wall time, processor time of it and its finished children, and its exit code."""

    wall_s: float
    cpu_s: float
    exit_code: int
    output: str


def spend(
    command: Sequence[str],
    environment: Mapping[str, str],
    timeout_s: float,
    cwd: Path | None = None,
    watch: Callable[[int], None] | None = None,
) -> Spent:
    """Run a command to its end. `watch` is called with its process id, every few milliseconds, while it runs.

    Raises CannotMeasureError where it does not end in time.
    """
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        child = subprocess.Popen(
            command, env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            status, cpu_s = _wait(child, begun + timeout_s, watch)
        finally:
            wall_s = time.perf_counter() - begun
            if child.returncode is None:
                child.terminate()
                child.wait(10)
        output.seek(0)
        return Spent(wall_s, cpu_s, os.waitstatus_to_exitcode(status), output.read().decode(errors="replace"))


def _wait(child: subprocess.Popen[bytes], until: float, watch: Callable[[int], None] | None) -> tuple[int, float]:
    """As `Popen.wait`, with what the process used, which that does not tell."""
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)  # else it would be waited for again
            return status, usage.ru_utime + usage.ru_stime
        if time.perf_counter() > until:
            raise CannotMeasureError(f"{Path(child.args[0]).name} did not end in time")  # type: ignore[arg-type,index]  # our own lists
        if watch is not None:
            watch(child.pid)
        time.sleep(0.002)


@dataclass(frozen=True, slots=True)
class Probed:
    """One run of `smokeprobe run` and its report."""

    spent: Spent
    report: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether all checks did."""
        return self.spent.exit_code == 0

    def steps(self, check: str) -> list[dict[str, Any]]:
        """The steps of a check, as the report has them."""
        return [step for found in self.report["checks"] if found["name"] == check for step in found["steps"]]

    def why(self) -> str:
        """The end of what it said, for whoever wonders why it did not pass."""
        return self.spent.output.strip()[-LAST_WORDS:]


def probe(
    arguments: Sequence[str],
    password: str,
    timeout_s: float = 60.0,
    watch: Callable[[int], None] | None = None,
) -> Probed:
    """Run all checks once with a state of its own, so that nothing waits for the budget of the run before.

    Raises CannotMeasureError where it writes no report.
    """
    with tempfile.TemporaryDirectory(prefix="smokeprobe-bench-") as folder:
        report = Path(folder, "report.json")
        command = [SMOKEPROBE, "run", "--state-dir", f"{folder}/state", "--json-file", str(report), *arguments]
        spent = spend(command, {**os.environ, "SMOKE_TEST_PASSWORD": password}, timeout_s, watch=watch)
        if not report.exists():
            raise CannotMeasureError(f"smokeprobe run wrote no report: {spent.output.strip()[-LAST_WORDS:]}")
        return Probed(spent, json.loads(report.read_text()))
