"""Far from the target: are the times that are reported the true ones, and does `ttfb_minus_rtt` judge the target alone?

`measure` is the outer half; `python -m tests.bench.delay` the inner one, in a namespace of its own.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import bare
from tests.bench.configuration import local_with, requests_to
from tests.bench.link import FAR, NEAR, Link
from tests.bench.measurement import CannotMeasureError, Result, rounds, spread
from tests.bench.namespace import inside, tell
from tests.bench.processes import probe
from tests.bench.slow_server import SlowServer

ONE_WAY_S = 0.040
OWN_S = 0.050
ROUNDS = 7
WITHIN_S = 40.0
REQUESTS = 10
PATH = "/slow.json"
TOLERANCE_MS = 1.0
TOLERANCE = 0.01
TIMEOUT_S = 75.0


def measure() -> Sequence[Result]:
    """How far the reported times are from the true ones, round by round."""
    found = inside("tests.bench.delay", TIMEOUT_S)
    truths, reported, judged, own = (list(column) for column in zip(*found, strict=True))
    ttfb_off = tuple(abs(one - truth) for one, truth in zip(reported, truths, strict=True))
    own_off = tuple(abs(one - truth) for one, truth in zip(judged, own, strict=True))
    line = "in a namespace with a round trip of 80 ms"
    ttfb_method = (
        f"reported time to first byte less that of a bare http.client loop, either way, medians of {REQUESTS}, {line}"
    )
    own_method = (
        f"judged time with `measure: ttfb_minus_rtt` less what the server says of its own time, either way, {line}"
    )
    return [
        Result(
            "time to first byte at 80 ms", ttfb_off, "ms", _tolerance(truths), ttfb_method,
            detail=f"truth {spread(truths, 'ms')}, reported {spread(reported, 'ms')}",
        ),
        Result(
            "the same less the round trip", own_off, "ms", _tolerance(own), own_method,
            detail=f"truth {spread(own, 'ms')}, judged {spread(judged, 'ms')}",
        ),
    ]  # fmt: skip


def _tolerance(truths: Sequence[float]) -> float:
    """1 ms or 1 % of the truth, whichever is more."""
    return round(max(TOLERANCE_MS, TOLERANCE * statistics.median(truths)), 2)


def measure_inside() -> list[tuple[float, float, float, float]]:
    """Of each round in ms: the true time to first byte, the reported one, the judged one, the server's own time."""
    found = []
    with Link(ONE_WAY_S), SlowServer(NEAR, OWN_S) as server, tempfile.TemporaryDirectory() as folder:
        url = f"http://{FAR}:{server.port}"
        checks = {
            "far": requests_to(PATH, REQUESTS),
            "target": requests_to(PATH, REQUESTS, measure="ttfb_minus_rtt"),
        }
        config = str(local_with(Path(folder, "bench.yaml"), url, checks))
        for _ in rounds(ROUNDS, WITHIN_S):
            asked = bare.measured(url + PATH, REQUESTS)
            run = probe(["--config", config, "--check", "far", "--check", "target"], "not-needed-here")
            if not run.passed:
                raise CannotMeasureError(f"a run did not pass: {run.why()}")
            found.append(
                (
                    statistics.median(one.ttfb_ms for one in asked),
                    statistics.median(step["phases"]["ttfb_ms"] for step in run.steps("far")),
                    statistics.median(step["judged_ms"] for step in run.steps("target")),
                    statistics.median(one.server_ms for one in asked),
                )
            )
    return found[1:]  # without the warm-up


if __name__ == "__main__":
    tell(measure_inside)
