"""The times that are reported of a kept-alive connection, against a bare loop: at rest, and while all else goes on."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from probes.standin.process import StandIn
from tests.bench import bare
from tests.bench.configuration import local_with, requests_to
from tests.bench.measurement import CannotMeasureError, Result, ratios, rounds, spread
from tests.bench.nginx import STATIC_PATH, Nginx
from tests.bench.processes import spend

ROUNDS = 5
WITHIN_S = 85.0
BARE_REQUESTS = 400
REQUESTS = 100
EVERY = "200ms"
VERDICTS = 3
LONGEST_S = 45
CHECK = "wire"
CHECKS = ("health", "homepage", "enhancement", "login", "api", CHECK)
LOCUSTFILE = Path(__file__).with_name("busy_locustfile.py")
LOCUST = str(Path(sys.executable).with_name("locust"))


def measure() -> Sequence[Result]:
    """Rounds of three: the bare loop, the check alone, the check among all others."""
    bares, rests, busies = [], [], []
    with StandIn() as target, Nginx(target.url, hide_limits=True) as edge, tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{edge.port}"
        checks = {CHECK: requests_to(STATIC_PATH, REQUESTS)}
        config = local_with(Path(folder, "bench.yaml"), url, checks, every=EVERY, unlimited=True)
        seen: Counter[str] = Counter()
        for number in rounds(ROUNDS, WITHIN_S):
            target.reset()  # also what its limiter has counted
            asked = bare.measured(url + STATIC_PATH, BARE_REQUESTS)
            bares.append(statistics.median(one.whole_ms for one in asked))
            rest = Path(folder, f"rest-{number}")
            rests.append(_reported(config, rest, target.password, "--check", CHECK))
            record = Path(folder, f"busy-{number}")
            busies.append(_reported(config, record, target.password))
            seen.update(_others(record))
    bares, rests, busies = bares[1:], rests[1:], busies[1:]  # without the warm-up
    detail = f"bare loop {spread(bares, 'ms', 3)}, reported {spread(rests, 'ms', 3)}"
    others = ", ".join(f"{check} {count}" for check, count in sorted(seen.items()))
    busy_detail = f"reported {spread(busies, 'ms', 3)}; verdicts beside it: {others}"
    method = "median time to first byte and download of an `http` check under Locust over that of an http.client loop"
    busy_method = "the same check while all others, browser included, loop in the same process, over it alone"
    return [
        Result("reported time of a kept-alive request", ratios(rests, bares), "×", 1.5, method, detail=detail),
        Result("the same, all checks busy", ratios(busies, rests), "×", 1.3, busy_method, detail=busy_detail),
    ]


def _reported(config: Path, record: Path, password: str, *which: str) -> float:
    """The median of what one Locust process reports of requests on a connection that was there already, in ms.

    Counted from when every check has come to a verdict: before that the browser still starts.
    """
    command = [LOCUST, "-f", str(LOCUSTFILE), "--headless", "--only-summary", "-u", "100", "-r", "100"]
    command += ["--run-time", f"{LONGEST_S}s", "--smoke-config", str(config), "--state-dir", f"{record}-state", *which]
    environment = {**os.environ, "SMOKE_TEST_PASSWORD": password, "BENCH_RECORD": str(record)}
    environment |= {"BENCH_CHECK": CHECK, "BENCH_VERDICTS": str(VERDICTS)}
    ended = spend(command, environment, timeout_s=LONGEST_S + 15.0)
    steps = [step for check, _, steps in _all_at_work(record) if check == CHECK for step in steps]
    kept: list[float] = [ttfb + download for ttfb, download, new in steps if not new and ttfb is not None]
    if not kept:
        raise CannotMeasureError(f"not all checks came to a verdict: {ended.output.strip()[-400:]}")
    return statistics.median(kept)


def _all_at_work(record: Path) -> list[tuple[str, str, list[tuple[float | None, float, bool]]]]:
    """The verdicts after each check has come to its first one."""
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    unseen = set(CHECKS)
    for number, (check, *_) in enumerate(lines):
        unseen.discard(check)
        if not unseen:
            return lines[number + 1 :]
    return []


def _others(record: Path) -> Counter[str]:
    """How many good verdicts each other check came to meanwhile; the last of each may be cut off by the end."""
    good = {"passed", "degraded"}
    counts = Counter(check for check, outcome, _ in _all_at_work(record) if check != CHECK and outcome in good)
    if idle := sorted(set(CHECKS) - {CHECK, *counts}):
        raise CannotMeasureError(f"not all checks were at work: {', '.join(idle)}")
    return counts
