"""`python -m tests.bench.alerts [--write]`: the proof of A3, as tables; with --write kept in docs/alert-quality.md.

Exit code 0 where every goal holds, 1 where one does not, 3 where something could not be measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from probes.checks.registry import load_settings
from probes.config.alert_rules import FILE, load_rules
from probes.config.load import Source
from tests.bench import report
from tests.bench.alerts import document, real
from tests.bench.alerts.delivery import handing_over_s
from tests.bench.alerts.found import Found, Measured
from tests.bench.alerts.noise import Noise
from tests.bench.alerts.ours import ours
from tests.bench.alerts.outages import KINDS, Seen, outage_seen
from tests.bench.alerts.runs import Runs, runs_of_a_year
from tests.bench.alerts.timeline import fleet_of
from tests.bench.alerts.years import Years, watched
from tests.bench.measurement import CannotMeasureError

CONFIG = Path(__file__).parents[3] / "config"
ENV, REGION = "production", "us-east-1"
RUN_YEARS = 20
PARTS, PART_YEARS = 48, 0.25
OUTAGES = 80
NO_RULE = frozenset({"certificate"})
"""Rules about what the world does not have."""


def main() -> int:
    """Simulate, measure, show."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.alerts", description="How good the alerts are.")
    parser.add_argument("--write", action="store_true", help="write docs/alert-quality.md")
    parser.add_argument("--simulate-only", action="store_true", help="leave the real passes out")
    options = parser.parse_args()
    machine, begun = report.machine(), time.monotonic()
    console = Console()
    simulated = _simulated()
    found = Found(machine, *simulated, _real(simulate_only=options.simulate_only), handing_over_s())
    lines = document.lines(found, time.monotonic() - begun)
    console.print(Markdown("\n".join(lines)))
    if options.write:
        document.write(lines)
    if not found.holds:
        return 1
    return 0 if found.real.passes is not None else 3


def _simulated() -> tuple[Runs, Years, dict[str, list[Seen]]]:
    settings = load_settings(Source(CONFIG / f"{ENV}.yaml", REGION, ""))
    fleet, noise = fleet_of(settings), Noise()
    rules = {name: rule for name, rule in ours(load_rules(CONFIG / FILE), ENV).items() if name not in NO_RULE}
    runs, years = Runs(), Years()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for some in pool.map(partial(runs_of_a_year, fleet, noise), range(RUN_YEARS)):
            runs.add(some)
        for part in pool.map(partial(watched, rules, fleet, noise, PART_YEARS), range(PARTS)):
            years.add(part)
        outages = {
            kind: list(pool.map(partial(outage_seen, rules, fleet, noise, kind), range(OUTAGES), chunksize=10))
            for kind in KINDS
        }
    return runs, years, outages


def _real(*, simulate_only: bool) -> Measured:
    if simulate_only:
        return Measured(why_not="left out by --simulate-only")
    try:
        return Measured(*real.measure())
    except CannotMeasureError as problem:
        return Measured(why_not=str(problem))


if __name__ == "__main__":
    sys.exit(main())
