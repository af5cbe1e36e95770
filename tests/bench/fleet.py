"""What a master and its workers cost, and how soon a master knows of a fault."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from probes.standin.process import StandIn
from tests.bench.measurement import CannotMeasureError, Result, spread
from tests.fleet.harness import Fleet, fleet_of

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
EVERY_S = 10.0
WINDOWS, WINDOW_S = 6, 5.0
FAULTS = 7
START_S = 90.0
MIB = 1024.0**2

SETTINGS: dict[str, Any] = {
    "checks": {
        **{name: {"every": "10s", "timeout": "3s"} for name in ("health", "api", "enhancement")},
        "login": {"every": "10s", "timeout": "6s", "web": None},
    },
    # so that every tick has room; the stand-in keeps to its own limits, of which this uses little
    "limits": {name: {"allows": "5000 per 60s"} for name in ("enhance", "test", "api")},
}
"""All HTTP checks every ten seconds."""


def measure() -> Sequence[Result]:
    """A master of three regions with six workers, then with thirty."""
    rows: list[Result] = []
    for workers in (6, 30):
        with _fleet(workers) as fleet:
            rows += _master(fleet, workers)
            if workers == 6:
                rows += [_idle_worker(fleet), _time_to_verdict(fleet)]
    return rows


@contextmanager
def _fleet(workers: int) -> Iterator[Fleet]:
    with (
        StandIn() as target,
        tempfile.TemporaryDirectory(prefix="smokeprobe-bench-") as folder,
        fleet_of(target, Path(folder), SETTINGS) as fleet,
    ):
        fleet.master("--region", ",".join(REGIONS))
        for number in range(workers):
            region = REGIONS[number % len(REGIONS)]
            fleet.worker(f"worker-{number}", "--region", region)
        ends = time.monotonic() + START_S
        while fleet.workers() < workers or not _all_passed(fleet):
            if time.monotonic() > ends:
                raise CannotMeasureError(f"{fleet.workers()} of {workers} workers in {START_S:.0f} s")
            time.sleep(0.5)
        yield fleet


def _all_passed(fleet: Fleet) -> bool:
    return all(cell["outcome"] == "passed" for cell in fleet.board().get("cells", ()))


def _master(fleet: Fleet, workers: int) -> list[Result]:
    process = psutil.Process(fleet.members[0].process.pid)
    percents = []
    for _ in range(WINDOWS):
        before = process.cpu_times()
        time.sleep(WINDOW_S)
        after = process.cpu_times()
        percents.append(100.0 * (after.user + after.system - before.user - before.system) / WINDOW_S)
    memory = process.memory_info().rss / MIB
    how = f"one master of three regions, {workers} workers, four HTTP checks every 10 s in each region"
    unbounded = float("inf")
    return [
        Result(f"processor of a master with {workers} workers", tuple(percents), "%", unbounded,
               f"processor time over wall time, windows of {WINDOW_S:.0f} s, in per cent of one core; {how}"),
        Result(f"memory of a master with {workers} workers", (memory,), "MiB", unbounded, f"resident, after it; {how}"),
    ]  # fmt: skip


def _idle_worker(fleet: Fleet) -> Result:
    sizes = [psutil.Process(member.process.pid).memory_info().rss / MIB for member in fleet.members[1:]]
    method = "resident size of each worker, without browser, between its ticks, after a minute of them"
    return Result("memory of an idle worker", tuple(sizes), "MiB", 90.0, method, judged="worst")


def _time_to_verdict(fleet: Fleet) -> Result:
    """From the fault to the verdict on the master's board, in the first region; which begins at any time of a tick."""
    region = REGIONS[0]
    took = []
    for _ in range(FAULTS):
        time.sleep(random.uniform(0.0, EVERY_S))  # noqa: S311 - no secret: when in an interval the fault begins
        fleet.target.set_faults("health-unhealthy")
        begun = time.monotonic()
        _until(fleet, region, "failed")
        took.append(time.monotonic() - begun)
        fleet.target.set_faults()
        _until(fleet, region, "passed")
    method = "from the fault's beginning, at any time, to `failed` on the master's board; the check runs every 10 s"
    retries = f"its tries included: {spread(took, 's', 1)}"
    return Result("from a fault in a region to the verdict", tuple(took), "s", EVERY_S + 3.0, method,
                  judged="worst", detail=retries)  # fmt: skip


def _until(fleet: Fleet, region: str, outcome: str) -> None:
    ends = time.monotonic() + 4 * EVERY_S
    while fleet.cell("health", region)["outcome"] != outcome:
        if time.monotonic() > ends:
            raise CannotMeasureError(f"health in {region} did not become {outcome}")
        time.sleep(0.05)
