"""What kill -9 of a worker and of a master can lose, and how long until the master says so.

The worker is busy nearly always: a pass of its one check takes 0.45 s, and one is due every 0.5 s. What the target saw
begin, and the master did not tell of, is lost.
"""

from __future__ import annotations

import random
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from probes.standin.process import StandIn
from tests.bench.measurement import CannotMeasureError, Result, rounds
from tests.fleet.harness import Fleet, Member, fleet_of, until

KILLS = 8
WITHIN_S = 150.0
BUSY = {
    "checks": {
        "health": {"every": "500ms", "timeout": "2s"},
        **{name: {"enabled": False} for name in ("api", "enhancement", "login")},
    }
}
LONGEST_S = 40.0
LOST_AT_MOST = 1
SAID_WITHIN_S = 10.0
"""Locust misses a worker after three heartbeats, one a second, and looks once a second."""


def measure() -> Sequence[Result]:
    """For each kill: the passes of which there is no verdict, and the seconds until the board shows it."""
    workers = [_worker_killed() for _ in rounds(KILLS, WITHIN_S)][1:]
    masters = [_master_killed() for _ in rounds(KILLS, WITHIN_S)][1:]
    lost, silent_s, missed_s = (list(column) for column in zip(*workers, strict=True))
    busy = "one worker, nearly always busy with the passes of one check, killed at a random moment"
    return [
        Result("verdicts lost with a worker", tuple(lost), "", LOST_AT_MOST,
               f"passes that the target saw begin, less verdicts that the master told of; {busy}", judged="worst"),
        Result("until its cell says `no data`", tuple(silent_s), "s", SAID_WITHIN_S,
               "from kill -9 of the only worker to `no data` on the master's board; its check is due every 0.5 s",
               judged="worst"),
        Result("until a worker is missed", tuple(missed_s), "s", SAID_WITHIN_S,
               "from its kill -9 until the board does not list it any more", judged="worst"),
        Result("verdicts lost with a master", tuple(lost for lost, _ in masters), "", LOST_AT_MOST,
               "as above, told of by the killed master, or by the one that is started at once in its place",
               judged="worst"),
        Result("until its successor has a verdict", tuple(took for _, took in masters), "s", SAID_WITHIN_S * 2,
               "from kill -9 of the master, which is started again at once, to its first verdict", judged="worst"),
    ]  # fmt: skip


@contextmanager
def _busy_fleet() -> Iterator[tuple[Fleet, Member, Member]]:
    """A master and a worker that have had time for some passes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        StandIn(faults=["slow-health"]) as target,
        fleet_of(target, Path(folder), BUSY) as fleet,
    ):
        master, worker = fleet.master(), fleet.worker("one")
        _wait(fleet, lambda: told(master) > 0)
        time.sleep(1.0 + random.random())  # noqa: S311 - no secret: when it is killed
        yield fleet, master, worker


def _worker_killed() -> tuple[int, float, float]:
    """The verdicts that were lost, and the seconds until the board said so, and until the worker was missed."""
    with _busy_fleet() as (fleet, master, worker):
        worker.stop(signal.SIGKILL)
        killed_at = time.monotonic()
        _wait(fleet, lambda: fleet.cell("health")["outcome"] == "no data")
        silent_s = time.monotonic() - killed_at
        _wait(fleet, lambda: fleet.workers() == 0)
        missed_s = time.monotonic() - killed_at
        return begun(fleet) - told(master), silent_s, missed_s


def _master_killed() -> tuple[int, float]:
    """The verdicts that were lost, and the seconds until the next master had one of its own."""
    with _busy_fleet() as (fleet, master, worker):
        master.stop(signal.SIGKILL)
        killed_at = time.monotonic()
        successor = fleet.master()
        _wait(fleet, lambda: told(successor) > 0)
        took_s = time.monotonic() - killed_at
        time.sleep(1.0)
        worker.stop()  # it tells what it has under way
        return begun(fleet) - told(master) - told(successor), took_s


def told(master: Member) -> int:
    """The passes of which a master has told; one that is skipped was not begun."""
    return len(re.findall(r"local health: (?!no data|skipped)", master.text()))


def begun(fleet: Fleet) -> int:
    """The passes that the target saw begin."""
    return sum(entry["path"] == "/health" for entry in fleet.target.ledger())


def _wait(fleet: Fleet, holds: Callable[[], object]) -> None:
    if not until(holds, LONGEST_S):
        raise CannotMeasureError(f"the fleet did not come to it within {LONGEST_S:.0f} s: {fleet.story()[-300:]!r}")
