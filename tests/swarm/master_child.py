"""What a master's board says of checks without data, at each of some moments: `… CONFIG STATE MOMENT…`, as JSON.

A process of its own, because a master is Locust's, and Locust patches whatever process imports it.
"""

from __future__ import annotations

import json
import sys

import locust  # noqa: F401 - first, so that it patches before anything else is there
import time_machine

from probes.options import RunOptions
from probes.swarm.equipment import equip_master
from probes.swarm.master import MasterSession


def main() -> None:
    """Follow the clock from moment to moment."""
    config, state, first, *later = sys.argv[1:]
    found = []
    with time_machine.travel(first, tick=True) as traveller:
        master = MasterSession(equip_master(RunOptions(config=config, state_dir=state)), b"")
        for moment in (first, *later):
            traveller.move_to(moment)
            master.follow_the_clock()
            found.append({cell.check: cell.no_data for cell in master.results.board.cells})
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
