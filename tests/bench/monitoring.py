"""What monitoring costs: its hooks, for each request and verdict; of services that are up memory and the end of a run.

`python -m tests.bench.monitoring hooks`, `… memory` and `… cloudwatch` are inner parts, each a process of its own.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import psutil

from probes.config.monitoring import CloudWatchOptions, DatadogOptions, Integration, chosen
from probes.model import Outcome, Phases, Step, Verdict
from probes.monitoring.base import DELIVERED, Fate, Said
from probes.monitoring.reporter import Reporter, make_services
from probes.monitoring.samples import Sample, Sampler
from probes.standin.process import StandIn
from tests.bench.measurement import CannotMeasureError, Result, rounds, spread
from tests.e2e.harness import Ran, Runner, write_config
from tests.monitoring.datadog_server import datadog_server
from tests.monitoring.newrelic_server import newrelic_server

SERVICES = 4
GROUPS, OF_EACH = 40, 50
STEP = Step("GET /", Outcome.PASSED, 12.0, 8.0, 100.0, Phases(0.4, 0.5, 3.2, 8.0, 0.2))
MEASURED = {"db_query_time_ms": 4.2, "cache_hit_rate": 0.93, "error_rate": 0.001}
VERDICT = Verdict("health", Outcome.PASSED, steps=(STEP,), metrics=MEASURED, target_version="1.2.3", duration_s=0.03)


def measure() -> Sequence[Result]:
    """The hooks, then of services the memory and the end of a run, then what a client of CloudWatch takes."""
    found = _of_child("hooks")
    how = f"what a run's own hook adds to one {{}}, with {SERVICES} services; medians of {OF_EACH}"
    return [
        *(Result(f"metrics of a {what}", tuple(took), "µs", 20.0, how.format(what)) for what, took in found.items()),
        *_of_service("Datadog", datadog_server),
        *_of_service("New Relic", _newrelic),
        *_cloudwatch(),
    ]


def _of_child(what: str) -> dict[str, list[float]]:
    line = [sys.executable, "-m", "tests.bench.monitoring", what]
    child = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    if child.returncode:
        raise CannotMeasureError(child.stderr.strip().splitlines()[-1])
    found: dict[str, list[float]] = json.loads(child.stdout)
    return found


def _cloudwatch() -> Sequence[Result]:
    seen = [_of_child("cloudwatch") for _ in rounds(7, 30.0)]
    how = "boto3 imported after Locust, a client made, one batch sent to where nobody listens"
    return [
        Result("CloudWatch: its client", tuple(one["s"][0] for one in seen), "s", 0.5, how),
        Result("CloudWatch: memory", tuple(one["MiB"][0] for one in seen), "MiB", 24.0, f"resident set; {how}"),
    ]


class _Server(Protocol):
    @property
    def environment(self) -> dict[str, str]: ...


@contextmanager
def _newrelic() -> Iterator[_Server]:
    with tempfile.TemporaryDirectory() as folder, newrelic_server(Path(folder)) as server:
        yield server


def _of_service(service: str, starting: Callable[[], AbstractContextManager[_Server]]) -> Iterator[Result]:
    with starting() as server:
        yield _memory(service, server)
        yield _end_of_run(service, server)


def _memory(service: str, server: _Server) -> Result:
    line = [sys.executable, "-m", "tests.bench.monitoring", "memory"]
    added = []
    for number in rounds(5, 30.0):
        child = subprocess.run(line, env={**os.environ, **server.environment}, capture_output=True, check=True)
        if number:
            added.append(float(child.stdout))
    method = "resident memory of a process that has Locust, before and after it tells the service one batch"
    return Result(f"memory that telling {service} adds", tuple(added), "MiB", math.inf, method)


def _end_of_run(service: str, server: _Server) -> Result:
    with tempfile.TemporaryDirectory() as name, StandIn() as target:
        runner = Runner(target, Path(name), write_config(Path(name) / "config.yaml"))
        added, without, told = [], [], []
        for number in rounds(9, 90.0):
            alone, telling = _outside(runner, {}), _outside(runner, server.environment)
            if number:
                without.append(alone)
                told.append(telling)
                added.append(telling - alone)
    method = f"wall time outside of a run's reported duration, {service} on the loopback, less that of one without"
    detail = f"with it {spread(told, 's')}, without {spread(without, 's')}"
    return Result(f"end of a run that tells {service}", tuple(added), "s", 0.5, method, detail=detail)


def _outside(runner: Runner, environ: Mapping[str, str]) -> float:
    runner.target.reset()
    ran: Ran = runner.run("--no-browser", "--check", "health", "--check", "api", env=environ)
    if ran.code:
        raise CannotMeasureError(f"a run ended with exit code {ran.code}")
    return ran.besides_s


class _Nowhere:
    name = "nowhere"
    longest_past_s = 1.0

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:  # noqa: ARG002 - the protocol's
        return DELIVERED

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        return None


def _inner_cloudwatch() -> Mapping[str, list[float]]:
    import locust  # noqa: F401 - as in a run

    from probes.monitoring.cloudwatch import Api

    os.environ.update(AWS_ACCESS_KEY_ID="k", AWS_SECRET_ACCESS_KEY="s", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    before, begun = psutil.Process().memory_info().rss, time.perf_counter()
    sample = Sampler("production", "run").test("eu-west-1", 1.0, time.time())
    said = Api(CloudWatchOptions(), "eu-west-1").send([sample], 1.0)
    if "no connection" not in said.why:
        raise CannotMeasureError(said.why)
    took = time.perf_counter() - begun
    return {"s": [took], "MiB": [(psutil.Process().memory_info().rss - before) / 2**20]}


def _inner() -> Mapping[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        services = [(_Nowhere(), DatadogOptions())] * SERVICES
        reporter = Reporter([*services], Sampler("production", "run"), Path(folder), lambda: True)
        return {
            "request": _timed(lambda: reporter.requested("eu-west-1", "health", STEP)),
            "verdict": _timed(lambda: reporter.judged("eu-west-1", VERDICT)),
        }


def _timed(hook: Callable[[], None]) -> list[float]:
    """Medians, in microseconds."""
    medians = []
    for _ in range(GROUPS):
        took = []
        for _ in range(OF_EACH):
            begun = time.perf_counter()
            hook()
            took.append(time.perf_counter() - begun)
        medians.append(statistics.median(took) * 1e6)
    return medians


def _added_mib() -> float:
    import locust  # noqa: F401 - as a run has it

    process = psutil.Process()
    before = process.memory_info().rss
    sample = Sampler("local", "run").test("local", 1.0, time.time())
    for service, _ in make_services(chosen(Integration(), "local", "run", os.environ), "run", os.environ):
        if service.send([sample], 5.0).fate is not Fate.DELIVERED:
            raise CannotMeasureError(f"{service.name} does not take it")
    return (process.memory_info().rss - before) / 2**20


if __name__ == "__main__":
    parts: Mapping[str, Callable[[], object]] = {"hooks": _inner, "cloudwatch": _inner_cloudwatch, "memory": _added_mib}
    print(json.dumps(parts[sys.argv[1]]()))  # noqa: T201 - to the outer half
