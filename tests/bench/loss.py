"""A full run over a line that is long and loses packets.

`measure` is the outer half; `python -m tests.bench.loss` the inner one, in a namespace of its own.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from probes.standin.process import StandIn
from tests.bench.configuration import local_with
from tests.bench.link import FAR, NEAR, Link
from tests.bench.measurement import Result, rounds
from tests.bench.namespace import inside, tell
from tests.bench.nginx import Nginx
from tests.bench.processes import probe

ONE_WAY_S = 0.075
LOSS = 0.01
RUNS = 20
WITHIN_S = 230.0
TIMEOUT_S = 260.0


def measure() -> Sequence[Result]:
    """Whole runs with the browser; the goal is for the 99th percentile, and of so few runs that is the longest."""
    runs = inside("tests.bench.loss", TIMEOUT_S)
    outcomes = Counter(outcome for _, outcome in runs)
    method = (
        f"wall time of `smokeprobe run`, browser included, at a round trip of 150 ms with {LOSS:.0%} of packets lost "
        f"each way; the longest of {len(runs)} stands for the 99th percentile"
    )
    detail = "outcomes: " + ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    values = tuple(wall_s for wall_s, _ in runs)
    return [Result("full run at 150 ms and 1 % loss", values, "s", 20.0, method, judged="worst", detail=detail)]


def measure_inside() -> list[tuple[float, str]]:
    """Of each run its wall time in seconds and its outcome."""
    runs = []
    with (
        Link(ONE_WAY_S, LOSS),
        StandIn() as target,
        Nginx(target.url, NEAR) as edge,
        tempfile.TemporaryDirectory() as folder,
    ):
        config = str(local_with(Path(folder, "bench.yaml"), f"http://{FAR}:{edge.port}"))
        for _ in rounds(RUNS, WITHIN_S, fewest=RUNS):
            target.reset()
            run = probe(["--config", config], target.password)
            runs.append((run.spent.wall_s, str(run.report["outcome"])))
    return runs[1:]  # without the warm-up


if __name__ == "__main__":
    tell(measure_inside)
