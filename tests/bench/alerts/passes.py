"""Passes of all HTTP checks within one process: `python -m tests.bench.alerts.passes CONFIG STANDIN COUNT SECONDS`.

Guard, permits, ledger, clients and checks are the real ones. Each pass has a ledger of its own, so that none waits for
the budget of the one before; the limits are the real ones too. Prints JSON.
"""

from __future__ import annotations

import locust  # noqa: F401 - first, so that it patches before anything else is there

# isort: split
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from probes.model import worst
from probes.options import RunOptions
from probes.reports.progress import live
from probes.standin.process import StandIn
from probes.swarm.conductor import Conductor
from probes.swarm.desk import LedgerDesk
from probes.swarm.equipment import equip
from tests.bench.alerts.passed import Passed


def main() -> None:
    """Pass so often, or until the time is over."""
    config, url, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    target = StandIn()  # which runs already: only to make it forget
    target.url = url
    ends = time.monotonic() + seconds
    found = Passed()
    with tempfile.TemporaryDirectory(prefix="smokeprobe-bench-") as folder:
        one_pass = _passing(config, Path(folder), target)
        one_pass("warm-up", Passed())
        for number in range(count):
            if time.monotonic() > ends:
                break
            one_pass(str(number), found)
    sys.stdout.write(json.dumps(found.as_json()))


def _passing(config: str, folder: Path, target: StandIn) -> Callable[[str, Passed], None]:
    options = RunOptions(config=config, state_dir=str(folder / "state"), no_browser=True)
    equipment = equip(options, {"SMOKE_TEST_PASSWORD": target.password})
    progress = live(Console(file=StringIO()), equipment.planned)

    def one_pass(name: str, found: Passed) -> None:
        target.reset()
        own = replace(equipment, options=replace(options, state_dir=str(folder / name)))
        conductor = Conductor(own, LedgerDesk(own), None, "left out by --no-browser")
        verdicts = [conductor.run_check(check, progress) for check in own.planned]
        conductor.close()
        reasons = "; ".join(f"{verdict.check}: {verdict.reason}" for verdict in verdicts if verdict.reason)
        flaky = any(verdict.flaky for verdict in verdicts)
        found.add(worst([verdict.outcome for verdict in verdicts]), flaky=flaky, why=reasons)

    return one_pass


if __name__ == "__main__":
    main()
