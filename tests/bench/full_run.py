"""A full run with the browser, against the same checks in Playwright Test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import playwright

from probes.clients.chromium import find_chromium, sandbox_available
from probes.standin.process import StandIn
from tests.bench.measurement import FEWEST, CannotMeasureError, Result, ratios, rounds, spread
from tests.bench.processes import Spent, probe, spend

PAIRS = 7
WITHIN_S = 75.0
PEER = Path(__file__).with_name("playwright")
USER = "smoke-test-basic@betterprompts.com"


def measure() -> Sequence[Result]:
    """Pairs of runs, ours and the peer's; a pair of which one did not pass is discarded, and counted."""
    runner = PEER / "node_modules/@playwright/test/cli.js"
    if not runner.exists():
        raise CannotMeasureError("Playwright Test is not installed: make bench-tools")
    ours: list[Spent] = []
    theirs: list[Spent] = []
    discarded = []
    with StandIn() as target:
        for number in rounds(PAIRS, WITHIN_S):
            mine, other = one_pair(target, runner)
            if number and mine.exit_code == other.exit_code == 0:
                ours.append(mine)
                theirs.append(other)
            elif number:
                discarded.append((mine if mine.exit_code else other).output.strip()[-300:])
    if len(ours) < FEWEST:
        raise CannotMeasureError(f"{len(discarded)} pairs did not pass, the last one: {discarded[-1]}")
    walls = [run.wall_s for run in ours], [run.wall_s for run in theirs]
    detail = (
        f"ours {spread(walls[0], 's')}, Playwright Test {spread(walls[1], 's')}; "
        f"{len(discarded)} pairs discarded as one of them did not pass"
    )
    method = "wall time of the whole process over that of Playwright Test: same checks, Chromium, stand-in; one worker"
    return [Result("full run with browser", ratios(*walls), "×", 0.8, method, detail=detail)]


def one_pair(target: StandIn, runner: Path) -> tuple[Spent, Spent]:
    """Both once, on a target that has forgotten what was before."""
    target.reset()
    mine = probe(["--env", "local", "--target-url", target.url], target.password).spent
    return mine, playwright_test(target, runner)


def playwright_test(target: StandIn, runner: Path) -> Spent:
    """The peer, on the Node that Playwright for Python brings along: what is installed here does not matter."""
    chromium = find_chromium(os.environ).path
    with tempfile.TemporaryDirectory(prefix="smokeprobe-bench-") as output:
        environment = {
            **os.environ,
            "BENCH_TARGET_URL": target.url,
            "BENCH_CHROMIUM": str(chromium),
            "BENCH_SANDBOX": "1" if sandbox_available(chromium)[0] else "0",
            "BENCH_USER": USER,
            "BENCH_PASSWORD": target.password,
            "BENCH_OUTPUT": output,
        }
        node = str(Path(playwright.__file__).parent / "driver/node")
        return spend([node, str(runner), "test"], environment, 60.0, cwd=PEER)
