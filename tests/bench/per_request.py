"""What guard, permit and hooks cost each request: everything of a request but the request itself.

`python -m tests.bench.per_request` is the inner half, a process of its own, as Locust patches whoever imports it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.bench.measurement import CannotMeasureError, Result

if TYPE_CHECKING:
    from probes.clients.http import Brakes, HttpClient
    from probes.safety.permits import Meter, Permit
    from probes.swarm.equipment import Equipment

PERMITS = 30
REQUESTS = 25
"""Of each permit: as many as a check's run sends at most."""


def measure() -> Sequence[Result]:
    """Medians of each permit's requests, of a worker and of a run by itself."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.bench.per_request"], capture_output=True, text=True, timeout=60, check=False
    )
    if child.returncode:
        raise CannotMeasureError(child.stderr.strip().splitlines()[-1])
    found: dict[str, list[float]] = json.loads(child.stdout)
    what = (
        "all of `HttpClient.send` but the exchange itself, which is answered at once: guard, pause, permit, headers, "
        "what the answer asks of us"
    )
    hooks = "; and Locust's `request` event with its statistics"
    return [
        Result("guard, permit and hooks of a worker's request", tuple(found["worker"]), "µs", 50.0, what + hooks),
        Result(
            "the same of a run by itself", tuple(found["run"]), "µs", float("inf"),
            "the same, with the ledger's file read three times a request: has anybody paused us, are we to slow down, "
            "what does the target say that its limit is",
        ),
    ]  # fmt: skip


def _inner() -> Mapping[str, list[float]]:
    import locust  # noqa: F401 - first, so that it patches before anything else is there
    from locust.env import Environment

    from probes.options import RunOptions
    from probes.safety.permits import Meter
    from probes.swarm.desk import LedgerDesk, ledger_of
    from probes.swarm.equipment import equip
    from probes.swarm.fleet_desk import FleetBrakes

    with tempfile.TemporaryDirectory() as folder:
        equipment = equip(RunOptions(state_dir=folder), {"SMOKE_TEST_PASSWORD": "correct-horse-battery"})
        fleet = FleetBrakes(equipment.settings, lambda _kind, _body: None)
        desk = LedgerDesk(equipment)
        ledger = ledger_of(equipment)
        fire = _firing(Environment())

        def worker() -> Meter:
            return Meter(_permit(equipment), check=fleet.check)

        def run() -> Meter:
            return Meter(_permit(equipment), check=ledger.check)

        return {
            "worker": [_one(equipment, worker(), fleet, fire) for _ in range(PERMITS)],
            "run": [_one(equipment, run(), desk.brakes, fire) for _ in range(PERMITS)],
        }


def _permit(equipment: Equipment) -> Permit:
    from probes.safety.permits import Permit

    limits = equipment.settings.rate_limits
    quota = {limit.name: REQUESTS for limit in limits}
    return Permit("0" * 32, "health", "local", equipment.target, "adhoc", limits, quota, {}, "", 30.0, 4.0)


def _firing(environment: Any) -> Callable[[], None]:
    def fire() -> None:
        environment.events.request.fire(
            request_type="health", name="edge", response_time=1.0, response_length=100, exception=None, context={}
        )

    return fire


def _one(equipment: Equipment, meter: Meter, brakes: Brakes, fire: Callable[[], None]) -> float:
    """The median of one permit's requests, in µs."""
    from probes.clients.http import Request
    from probes.deadline import Deadline

    client = _answered_at_once()(equipment.guard, meter, brakes, equipment.identity, Deadline(30.0))
    times = []
    for number in range(REQUESTS):
        path = ("/api/v1/health", "/api/v1/status", "/api/v1/test")[number % 3]
        begun = time.perf_counter()
        client.send(Request("GET", equipment.target + path), 1.0)
        fire()
        times.append((time.perf_counter() - begun) * 1e6)
    client.close()
    return statistics.median(times)


def _answered_at_once() -> type[HttpClient]:
    from probes.clients.http import Heard, HttpClient, Request, Response
    from probes.clients.line import ConnectionFacts
    from probes.model import Phases

    class AnsweredAtOnce(HttpClient):
        def _send_once(
            self, method: str, url: str, request: Request, timeout_s: float, heard: Heard | None
        ) -> Response:
            del method, timeout_s, heard
            self._headers(url, request)
            headers = {"content-type": "application/json", "x-ratelimit-limit": "100"}
            return Response(200, headers, b"{}", False, url, Phases(), 1.0, 1.0, ConnectionFacts(), False, False)  # noqa: FBT003 - neither throttled nor challenged

    return AnsweredAtOnce


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_inner()))
