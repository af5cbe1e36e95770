"""The time of day of a machine may be set while its worker runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from probes.standin.process import StandIn
from tests.fleet.clocks import needs_faketime, wall_clock
from tests.fleet.harness import fleet_of, until

pytestmark = [pytest.mark.fleet, needs_faketime]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_worker_whose_clock_is_set_goes_on(hours: int, design: StandIn, tmp_path: Path) -> None:
    with fleet_of(design, tmp_path) as fleet:
        clock = tmp_path / "clock"
        fleet.master()
        worker = fleet.worker("one", env=wall_clock(clock, 0))
        assert until(lambda: fleet.cell("health")["outcome"] == "passed"), fleet.story()
        wall_clock(clock, hours)
        time.sleep(3)
        before = len(fleet.cell("health")["runs"])
        assert until(lambda: len(fleet.cell("health")["runs"]) >= before + 2), fleet.story()
        assert fleet.cell("health")["outcome"] == "passed", fleet.story()
        assert worker.process.poll() is None, fleet.story()
