"""Real passes of the real checks, over real sockets, to a stand-in that is well and at the end of a long line.

`measure` is the outer half; `python -m tests.bench.alerts.real REGION` an inner one, in a namespace of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from probes.standin.process import StandIn
from tests.bench.alerts.passed import Passed
from tests.bench.configuration import local_with
from tests.bench.link import FAR, NEAR, Link
from tests.bench.measurement import CannotMeasureError
from tests.bench.namespace import inside, tell
from tests.bench.nginx import Nginx
from tests.bench.processes import probe

ONE_WAY_S: Mapping[str, float] = {"us-east-1": 0.005, "us-west-2": 0.010, "eu-west-1": 0.020}
"""A target beside the first region, and two regions further away."""
LOSS = 0.001
"""Of packets, each way: as much as the simulation has."""
LANES = 2
"""So many of each region side by side: they wait more than they work."""
PASSES: Mapping[str, int] = {"us-east-1": 600, "us-west-2": 520, "eu-west-1": 420}
PROCESSES = 9
"""Of each lane; together a little more than 3,000, and 50."""
WITHIN_S = 600.0


def measure() -> tuple[Passed, Passed]:
    """Passes within a process, and whole processes. Raises CannotMeasureError."""
    passes, processes = Passed(), Passed()
    lanes = LANES * tuple(PASSES)
    with ThreadPoolExecutor(len(lanes)) as pool:
        for within, whole in pool.map(_lane, lanes):
            passes.take(within)
            processes.take(whole)
    return passes, processes


def _lane(region: str) -> Any:
    return inside("tests.bench.alerts.real", WITHIN_S + 180.0, region)


def measure_inside(region: str) -> tuple[Any, Any]:
    """Both kinds from one region."""
    with (
        Link(ONE_WAY_S[region], LOSS),
        StandIn() as target,
        Nginx(target.url, NEAR) as edge,
        tempfile.TemporaryDirectory(prefix="smokeprobe-bench-") as folder,
    ):
        config = str(local_with(Path(folder, "bench.yaml"), f"http://{FAR}:{edge.port}"))
        whole = Passed()
        for _ in range(PROCESSES):
            target.reset()
            run = probe(["--config", config, "--no-browser"], target.password)
            flaky = any(check["flaky"] for check in run.report["checks"])
            whole.add(run.report["outcome"], flaky=flaky, why=run.why())
        return _within_one_process(config, target.url, PASSES[region]), whole.as_json()


def _within_one_process(config: str, url: str, count: int) -> Any:
    command = [sys.executable, "-m", "tests.bench.alerts.passes", config, url, str(count), str(WITHIN_S)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S + 60.0, check=False)
    if child.returncode:
        raise CannotMeasureError(child.stderr.strip().splitlines()[-1])
    return json.loads(child.stdout)


if __name__ == "__main__":
    tell(partial(measure_inside, sys.argv[1]))
