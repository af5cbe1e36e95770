"""Three regions, and all that can happen to them, beside each other; what the target itself saw is the judge."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.harness import LOCUST, Runner, assert_left_nothing, assert_recognisable, write_config
from tests.e2e.ui_harness import ui_of
from tests.fleet.clocks import AN_HOUR_AHEAD, needs_faketime, wall_clock
from tests.fleet.harness import QUICK, until
from tests.fleet.in_the_middle import permits_in
from tests.fleet.judges import granted_twice, over_ceiling, peaks, without_permit
from tests.fleet.regions import HUNGRY, Region, World, world_in
from tests.network.needs import needs_namespaces

pytestmark = [pytest.mark.fleet, needs_namespaces, needs_faketime, pytest.mark.timeout(240)]

STANDSTILL_S = 60.0
FORGED = """
from locust import User, task

class HealthProbe(User):
    @task
    def probe(self):
        self.environment.events.request.fire(
            request_type="forged", name="<script>", response_time=1, response_length=0, exception=None, context={}
        )
"""


def passes(region: Region, more_than: int = 0) -> bool:
    """Whether the region judges its target, and says that all is well."""
    return region.cell("health")["outcome"] == "passed" and region.verdicts("health") > more_than


def start(world: World) -> None:
    """A master and two workers in each region, no two of their clocks alike."""
    world.east.master()
    world.west.master()
    world.europe.master(env=wall_clock(world.europe.folder / "ahead", +1))
    for region in world.regions:
        region.worker("one")
    world.east.worker("two")
    world.west.worker("two", prefix=AN_HOUR_AHEAD)
    world.europe.worker("two", env=wall_clock(world.europe.folder / "behind", -1))
    assert until(lambda: all(region.workers() == 2 and passes(region) for region in world.regions), 60), world.story()


@contextmanager
def strangers(region: Region) -> Iterator[None]:
    """A plain Locust worker, and one of ours with another key, at the master's own port."""
    locustfile = region.folder / "forged.py"
    locustfile.write_text(FORGED)
    with region.place.namespace.entered():
        plain = subprocess.Popen(
            [LOCUST, "-f", str(locustfile), "--worker", "--master-port", str(region.port), "--skip-log-setup"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        forged = region.worker("forged", "--port", str(region.port), env={"SMOKEPROBE_FLEET_KEY": "f" * 32})
        yield
        forged.process.kill()
    finally:
        plain.kill()
        plain.wait()


def kill_a_worker_and_a_master(world: World) -> None:
    """Both by kill -9, in two regions; each comes back as its supervisor would bring it."""
    world.east.members[1].stop(signal.SIGKILL)
    world.europe.members[0].stop(signal.SIGKILL)
    assert until(lambda: world.east.workers() == 1, 20), world.story()
    assert until(lambda: passes(world.east)), world.story()
    world.europe.master(env=wall_clock(world.europe.folder / "ahead", +1))
    world.east.worker("one")
    assert until(lambda: world.europe.workers() == 2 and passes(world.europe), 60), world.story()
    assert until(lambda: world.east.workers() == 2 and passes(world.east)), world.story()


def cut_off(world: World, region: Region) -> None:
    """Its line to the target is down for a while; the others do not notice."""
    region.place.link("down")
    assert until(lambda: region.cell("health")["outcome"] == "failed", 30), world.story()
    others = [each for each in world.regions if each is not region]
    assert "failed" not in {run["outcome"] for each in others for run in each.cell("health")["runs"]}, world.story()
    assert until(lambda: all(passes(each) for each in others), 20), world.story()  # all are on one busy machine
    region.place.link("up")
    assert until(lambda: passes(region)), world.story()


def by_hand(world: World, region: Region, folder: Path) -> None:
    """A thousand users are typed into the web UI, again and again, and a run is started beside it."""
    config = write_config(
        folder / "by-hand.yaml",
        QUICK,
        HUNGRY,
        {"run": {"timeout": "9s"}, "checks": {"health": {"enabled": False}, "login": {"enabled": False}}},
    )
    runner = Runner(world.target, folder, config, {"NODE_REGION": region.name})
    own = ("--region", region.name, "--no-browser", "--state-dir", str(region.folder / "master"))
    with (
        region.place.namespace.entered(),
        ui_of(runner, config, *own) as ui,
        runner.started("--region", region.name, "--no-browser", state=region.folder / "master") as run,
    ):
        for _ in range(3):
            ui.start(users=1000)
            assert until(lambda: ui.is_idle() and min(ui.count()) > 0, 30), ui.log.read_text()
        assert run.end().code in {0, 3}


def ten_more(world: World, region: Region) -> None:
    """Ten workers come at once, and have their turns; then they are told to go."""

    def runs() -> set[str]:
        return {entry["run"] for entry in world.target.ledger() if entry["client"] == region.place.address}

    before = runs()
    crowd = [region.worker(f"more-{number}") for number in range(10)]
    assert until(lambda: region.workers() == 12, 60), world.story()
    assert until(lambda: len(runs() - before) >= 4, 30), world.story()
    for member in crowd:
        member.send(signal.SIGTERM)
    assert [member.process.wait(60) for member in crowd] == [0] * 10, world.story()
    assert until(lambda: region.workers() == 2 and passes(region), 20), world.story()


def judge(world: World) -> None:
    """By what the target saw, and by the permits that passed on their way."""
    ledger = world.target.ledger()
    assert over_ceiling(ledger) == {}, world.story()
    assert max(peaks(ledger).values()) >= 4, "so few requests say nothing of a ceiling"
    for region in world.regions:
        permits = permits_in(region.record)
        assert granted_twice(permits) == {}, world.story()
        for check, path in (("health", "/health"), ("login", "/api/v1/auth/login")):
            arrivals = [e["t"] for e in ledger if e["path"] == path and e["client"] == region.place.address]
            own = [permit for permit in permits if permit.check == check]
            assert without_permit(arrivals, own) == [], (region.name, check, arrivals, own, world.story())
            assert check == "login" or len(arrivals) >= 10, world.story()
    assert_recognisable(world.target)


def test_whatever_happens_no_ceiling_is_broken_and_no_tick_runs_twice(tmp_path: Path) -> None:
    with world_in(tmp_path) as world:
        start(world)
        still = world.west.members[1]
        still.send(signal.SIGSTOP)
        goes_on_at = time.monotonic() + STANDSTILL_S
        with strangers(world.east):
            kill_a_worker_and_a_master(world)
            cut_off(world, world.west)
            by_hand(world, world.east, tmp_path)
            ten_more(world, world.europe)
            rejected = world.east.board()["rejected"]
            # those who have the key, and not the two that came without; who is meddled with may be lost for a moment
            assert until(lambda: world.east.workers() == 2), world.story()
        reasons = {reason for each in rejected.values() for reason in each}
        assert {"mac", "repeated", "session", "kind"} <= reasons, rejected

        assert world.west.workers() == 1, world.story()
        time.sleep(max(0.0, goes_on_at - time.monotonic()))
        still.send(signal.SIGCONT)
        assert until(lambda: world.west.workers() == 2 and passes(world.west)), world.story()

        for region in world.regions:
            for member in reversed(region.members):
                if member.process.poll() is None:
                    assert member.stop() == 0, world.story()
        assert_left_nothing(world.target)
        judge(world)
