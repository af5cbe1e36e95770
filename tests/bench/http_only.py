"""A run without the browser, from the start of the process to its end."""

from __future__ import annotations

from collections.abc import Sequence

from probes.standin.process import StandIn
from tests.bench.measurement import CannotMeasureError, Result, rounds, spread
from tests.bench.processes import probe

RUNS = 9
WITHIN_S = 25.0


def measure() -> Sequence[Result]:
    """Whole runs, one after the other."""
    runs = []
    with StandIn() as target:
        for _ in rounds(RUNS, WITHIN_S):
            target.reset()
            runs.append(probe(["--env", "local", "--target-url", target.url, "--no-browser"], target.password))
            if not runs[-1].passed:
                raise CannotMeasureError(f"a run did not pass: {runs[-1].why()}")
    measured = [run.spent for run in runs[1:]]  # without the warm-up
    method = "wall time of the whole process `smokeprobe run --no-browser`"
    detail = f"processor time {spread([spent.cpu_s for spent in measured], 's')}"
    return [Result("HTTP-only run", tuple(spent.wall_s for spent in measured), "s", 1.2, method, detail=detail)]
