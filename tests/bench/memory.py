"""The most memory that the Locust process holds, without the browser."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from probes.standin.process import StandIn
from tests.bench.measurement import CannotMeasureError, Result, rounds
from tests.bench.processes import probe

RUNS = 5
WITHIN_S = 20.0
MIB = 1024.0


def measure() -> Sequence[Result]:
    """The high-water mark of whole runs, with every kind of report written."""
    with StandIn() as target:
        peaks = tuple(_peak_mib(target) for _ in rounds(RUNS, WITHIN_S))
    method = "VmHWM of the process itself (not ru_maxrss, which begins with the size of whoever forked it)"
    return [Result("peak memory of the Locust process", peaks, "MiB", 110.0, method, judged="worst")]


def _peak_mib(target: StandIn) -> float:
    seen = [0.0]

    def look(pid: int) -> None:
        """The mark only rises, so the last look before the end has it."""
        status = Path(f"/proc/{pid}/status").read_text()
        if match := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):  # a process that has ended has none
            seen[0] = max(seen[0], int(match[1]) / MIB)

    target.reset()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--env", "local", "--target-url", target.url, "--no-browser"]
        arguments += ["--junit-file", f"{folder}/junit.xml", "--html-file", f"{folder}/report.html"]
        run = probe(arguments, target.password, watch=look)
    if not run.passed:
        raise CannotMeasureError(f"a run did not pass: {run.why()}")
    return seen[0]
