"""`python -m tests.bench [--write] [NAME …]`: measure, print a table, and with --write keep it in docs/performance.md.

Exit code 0 where every goal holds, 1 where one does not, 3 where something could not be measured.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType

from rich.console import Console

from tests.bench import (
    delay,
    fleet,
    fleet_losses,
    full_run,
    http_only,
    loss,
    memory,
    monitoring,
    per_request,
    report,
    wire,
)  # fmt: skip
from tests.bench.measurement import CannotMeasureError, Measurement, Result, Unmeasured

MEASUREMENTS: Mapping[str, Measurement] = {
    "full-run": full_run.measure,
    "http-only": http_only.measure,
    "wire": wire.measure,
    "delay": delay.measure,
    "loss": loss.measure,
    "memory": memory.measure,
    "per-request": per_request.measure,
    "fleet": fleet.measure,
    "fleet-losses": fleet_losses.measure,
    "monitoring": monitoring.measure,
}


def main() -> int:
    """Measure what is named, or everything."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _end)  # so that what was started is ended with us
    console = Console(stderr=True)
    machine = report.machine()
    rows: list[Result | Unmeasured] = []
    begun = time.monotonic()
    for name in options.names or MEASUREMENTS:
        console.print(f"measuring {name} …")
        try:
            rows += MEASUREMENTS[name]()
        except CannotMeasureError as problem:
            rows.append(Unmeasured(name, str(problem)))
    report.show(rows, machine, time.monotonic() - begun)
    if options.write:
        report.write(rows, machine, everything=not options.names)
    if any(isinstance(row, Result) and not row.holds for row in rows):
        return 1
    return 3 if any(isinstance(row, Unmeasured) for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what the project promises.")
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    return parser


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
