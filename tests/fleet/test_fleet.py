"""A master and its workers, as real processes; the stand-in's own ledger is the judge."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from probes.standin.process import StandIn
from tests.e2e.harness import LOCUST, ROOT, SMOKEPROBE, Runner, assert_left_nothing, busiest, write_config
from tests.fleet.harness import QUICK, Fleet, fleet_of, until, write_ledger
from tests.ports import free_port

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]


@pytest.fixture
def target(design: StandIn) -> StandIn:
    return design


@pytest.fixture
def fleet(target: StandIn, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(target, tmp_path) as running:
        yield running


def judged(fleet: Fleet, *checks: str) -> bool:
    return all(fleet.cell(check)["outcome"] == "passed" for check in checks)


ALL = ("health", "api", "enhancement", "login")


def test_a_master_and_a_worker_judge_everything_and_end_in_order(fleet: Fleet, target: StandIn) -> None:
    master, worker = fleet.master(), fleet.worker("one")
    assert until(lambda: judged(fleet, *ALL)), fleet.story()
    assert fleet.get("/healthz")[0] == fleet.get("/readyz")[0] == 200
    status, text = fleet.get("/metrics")
    assert status == 200
    assert 'smokeprobe_check_outcome{check="health",outcome="passed",region="local"} 1.0' in text

    begun = time.monotonic()
    assert worker.stop() == 0, fleet.story()
    assert master.stop() == 0, fleet.story()
    assert time.monotonic() - begun < 12
    assert_left_nothing(target)


def test_no_tick_runs_twice_and_the_ceiling_holds_with_many_workers(fleet: Fleet, target: StandIn) -> None:
    fleet.master()
    for number in range(3):
        fleet.worker(f"worker-{number}")
    assert until(lambda: fleet.workers() == 3), fleet.story()
    target.reset()
    begun = time.monotonic()
    time.sleep(10)
    took = time.monotonic() - begun
    ledger = target.ledger()
    runs = Counter(entry["run"] for entry in ledger)
    assert len(runs) == 3, runs  # each worker had its turn
    health = sum(entry["path"] == "/health" for entry in ledger)
    assert took / 2 - 2 <= health <= took / 2 + 1, fleet.story()
    for name, allowed in (("enhance", 100), ("test", 100), ("api", 600)):
        peak = busiest([entry for entry in ledger if name in entry["limits"]], 5.0)
        assert peak * 10 < allowed


def test_a_workers_browser_is_gone_when_its_next_use_is_far_away(target: StandIn, tmp_path: Path) -> None:
    page = {"checks": {"homepage": {"enabled": True, "every": "75s"}}}
    with fleet_of(target, tmp_path, page) as fleet:
        fleet.browser = True
        fleet.master()
        worker = fleet.worker("w1")
        family = psutil.Process(worker.process.pid)
        assert until(lambda: judged(fleet, "homepage"), 100), fleet.story()  # its first turn may be an interval away
        assert family.children(recursive=True)
        assert until(lambda: not family.children(recursive=True), 45), fleet.story()
        assert until(lambda: judged(fleet, "health", "api")), fleet.story()


def test_without_a_worker_there_is_no_data_and_not_silence(fleet: Fleet) -> None:
    fleet.master()
    assert until(lambda: fleet.cell("health")["reason"] == "no worker"), fleet.story()
    assert fleet.cell("health")["outcome"] == "no data"
    assert fleet.get("/healthz")[0] == 200
    assert fleet.get("/readyz")[0] == 503


def test_a_master_with_a_new_ledger_waits_for_what_another_may_have_granted(fleet: Fleet, target: StandIn) -> None:
    fleet.master(new=True)
    fleet.worker("one")
    assert until(lambda: "The ledger is new" in fleet.cell("health")["reason"]), fleet.story()
    assert target.ledger() == []
    assert until(lambda: judged(fleet, "health")), fleet.story()


def test_a_killed_worker_is_noticed_and_another_takes_over(fleet: Fleet) -> None:
    fleet.master()
    first = fleet.worker("first")
    assert until(lambda: judged(fleet, "health")), fleet.story()
    first.stop(signal.SIGKILL)
    assert until(lambda: fleet.workers() == 0, 30), fleet.story()
    assert until(lambda: fleet.cell("health")["reason"] == "no worker"), fleet.story()
    fleet.worker("second")
    assert until(lambda: judged(fleet, "health")), fleet.story()


def test_a_worker_that_is_stopped_for_a_while_goes_on(fleet: Fleet, target: StandIn) -> None:
    fleet.master()
    worker = fleet.worker("one")
    assert until(lambda: judged(fleet, "health")), fleet.story()
    worker.process.send_signal(signal.SIGSTOP)
    assert until(lambda: fleet.workers() == 0, 30), fleet.story()
    assert until(lambda: fleet.cell("health")["reason"] == "no worker"), fleet.story()
    target.reset()
    time.sleep(5)
    assert target.ledger() == []
    worker.process.send_signal(signal.SIGCONT)
    assert until(lambda: judged(fleet, "health")), fleet.story()


def test_a_restarted_master_gets_its_worker_back(fleet: Fleet) -> None:
    master = fleet.master()
    worker = fleet.worker("one")
    assert until(lambda: judged(fleet, "health")), fleet.story()
    master.stop(signal.SIGKILL)
    time.sleep(3)
    fleet.master()
    assert until(lambda: judged(fleet, "health", "login"), 60), fleet.story()
    assert worker.process.poll() is None


def test_a_worker_without_the_key_gets_nothing_and_is_told_of(fleet: Fleet, target: StandIn) -> None:
    fleet.master()
    fleet.worker("forged", env={"SMOKEPROBE_FLEET_KEY": "f" * 32})
    assert until(lambda: fleet.board().get("rejected")), fleet.story()
    assert until(lambda: "it is not signed with our SMOKEPROBE_FLEET_KEY" in fleet.members[0].text()), fleet.story()
    assert until(lambda: "is SMOKEPROBE_FLEET_KEY the same there?" in fleet.members[1].text()), fleet.story()
    assert fleet.workers() == 0
    assert target.ledger() == []


@pytest.mark.parametrize("command", ["master", "worker"])
def test_without_a_key_nobody_leaves_the_loopback(command: str, fleet: Fleet) -> None:
    fleet.env = {"SMOKEPROBE_FLEET_KEY": ""}
    if command == "master":
        member = fleet.master("--bind-host", "0.0.0.0")  # noqa: S104 - it is refused
    else:
        member = fleet.worker("one", "--master-host", "192.0.2.1")
    assert member.process.wait(60) == 2
    assert "SMOKEPROBE_FLEET_KEY" in member.text()
    assert "Traceback" not in member.text()


def test_a_short_key_is_refused(fleet: Fleet) -> None:
    member = fleet.master(env={"SMOKEPROBE_FLEET_KEY": "short"})
    assert member.process.wait(60) == 2
    assert "openssl rand" in member.text()


def test_a_pause_on_the_masters_machine_stops_the_workers(fleet: Fleet, target: StandIn) -> None:
    fleet.master()
    fleet.worker("one")
    assert until(lambda: judged(fleet, "health")), fleet.story()
    state = ["--state-dir", str(fleet.folder / "master")]
    subprocess.run([SMOKEPROBE, "pause", *state], check=True, capture_output=True)
    time.sleep(1)
    target.reset()
    time.sleep(4)
    assert target.ledger() == [], fleet.story()
    assert "smokeprobe_paused 1.0" in fleet.get("/metrics")[1]
    assert "paused by hand" in fleet.get("/readyz")[1]
    assert until(lambda: fleet.cell("health")["reason"].startswith("paused")), fleet.story()
    subprocess.run([SMOKEPROBE, "resume", *state], check=True, capture_output=True)
    assert until(lambda: judged(fleet, "health")), fleet.story()


def test_the_targets_own_pause_reaches_every_worker(fleet: Fleet, target: StandIn) -> None:
    fleet.master()
    for name in ("one", "two"):
        fleet.worker(name)
    assert until(lambda: fleet.workers() == 2 and judged(fleet, "health")), fleet.story()
    target.set_faults("pause-header")
    assert until(lambda: fleet.board()["paused"]), fleet.story()
    time.sleep(1)
    target.reset()
    time.sleep(4)
    assert target.ledger() == [], fleet.story()


def test_a_worker_that_ends_logs_out_and_tells_what_it_saw(fleet: Fleet, target: StandIn) -> None:
    fleet.master()
    worker = fleet.worker("one")
    target.set_faults("login-slow")
    assert until(lambda: any(entry["path"] == "/api/v1/auth/login" for entry in target.ledger())), fleet.story()
    begun = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - begun < 10
    assert set(target.state()["open_sessions"].values()) == {0}
    assert "not heard" not in worker.text(), fleet.story()
    assert until(lambda: any(run["outcome"] == "error" for run in fleet.cell("login")["runs"])), fleet.story()


def test_the_plain_locust_commands_do_the_same(fleet: Fleet, target: StandIn) -> None:
    common = ["-f", str(ROOT / "locustfiles" / "production_smoke.py"), "--smoke-config", str(fleet.config)]
    common += ["--target-url", target.url, "--no-browser"]
    env = Runner(target, fleet.folder, fleet.config).environment(**fleet.env)
    conf = ROOT / "config" / "locust"
    master = [LOCUST, *common, "--config", str(conf / "master.conf"), "--master-bind-port", str(fleet.port)]
    master += ["--status-port", str(fleet.status_port), "--state-dir", str(fleet.folder / "master")]
    write_ledger(fleet.folder / "master")
    worker = [LOCUST, *common, "--config", str(conf / "worker.conf"), "--master-port", str(fleet.port)]
    worker += ["--state-dir", str(fleet.folder / "w")]
    with (fleet.folder / "locust.log").open("wb") as log:
        processes = [
            subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            for line in (master, worker)
        ]
    try:
        assert until(lambda: judged(fleet, *ALL)), (fleet.folder / "locust.log").read_text()
    finally:
        codes = []
        for process in reversed(processes):
            process.terminate()
            codes.append(process.wait(15))
    assert codes == [0, 0]


def test_a_port_that_is_taken_is_said(fleet: Fleet) -> None:
    fleet.master()
    assert until(lambda: fleet.get("/healthz")[0] == 200), fleet.story()
    taken, fleet.port = fleet.status_port, free_port()
    second = fleet.master("--state-dir", str(fleet.folder / "other"))
    assert second.process.wait(60) == 2, second.text()
    assert str(taken) in second.text()
    assert "Traceback" not in second.text()


def test_one_master_has_the_workers_of_several_regions(fleet: Fleet, target: StandIn) -> None:
    regions = ("east", "west")
    fleet.master("--region", ",".join(regions))
    for region in regions:
        fleet.worker(f"worker-{region}", "--region", region)
    stranger = fleet.worker("stranger", "--region", "north")

    def all_judged() -> bool:
        return all(fleet.cell(check, region)["outcome"] == "passed" for check in ALL for region in regions)

    assert until(all_judged, 40), fleet.story()
    assert fleet.workers() == 2
    assert stranger.process.poll() is None
    assert "the master does not take us: we are of north for" in stranger.text()
    assert len({entry["run"] for entry in target.ledger()}) == 2  # each ran its own region's checks, nobody else's
    for name, allowed in (("enhance", 100), ("test", 100), ("api", 600)):
        peak = busiest([entry for entry in target.ledger() if name in entry["limits"]], 5.0)
        assert peak * 10 < allowed

    assert fleet.get("/readyz")[0] == 200
    fleet.members[2].stop()  # the worker of one region
    assert until(lambda: fleet.cell("health", "west")["reason"] == "no worker", 30), fleet.story()
    assert until(lambda: judged_since(fleet, "east")), fleet.story()


def test_a_failure_is_looked_at_again_at_once_here_and_then_elsewhere(fleet: Fleet, target: StandIn) -> None:
    write_config(fleet.config, QUICK, {"checks": {"api": {"every": "40s"}}})
    target.set_faults("test-500")
    fleet.master("--region", "east,west")
    for region in ("east", "west"):
        fleet.worker(f"worker-{region}", "--region", region)

    def looks() -> list[tuple[float, str]]:
        return [(entry["t"], entry["run"]) for entry in target.ledger() if entry["path"] == "/api/v1/test"]

    assert until(lambda: len(looks()) >= 3, 75), fleet.story()
    (planned, one), (here, same), (elsewhere, other) = looks()[:3]
    assert one == same != other
    assert elsewhere - planned < 20.0, "sooner than the next planned one"
    assert planned <= here <= elsewhere


def judged_since(fleet: Fleet, region: str) -> bool:
    cell = fleet.cell("health", region)
    return bool(cell["outcome"] == "passed" and cell["age_s"] < 3.0)


def test_a_worker_that_stood_still_for_a_moment_is_not_late_for_ever(fleet: Fleet, target: StandIn) -> None:
    fleet.master()
    worker = fleet.worker("one")
    assert until(lambda: judged(fleet, *ALL)), fleet.story()
    worker.process.send_signal(signal.SIGSTOP)
    time.sleep(3.2)  # of the offers that it finds afterwards, only the last of each check is not over
    worker.process.send_signal(signal.SIGCONT)
    time.sleep(3)
    target.reset()
    assert until(lambda: sum(entry["path"] == "/health" for entry in target.ledger()) >= 3, 15), fleet.story()


def test_an_address_that_cannot_be_had_is_said(fleet: Fleet) -> None:
    hosts = ("127.0.0.1", "localhost", "192.0.2.1", "no.such.name.invalid", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", fleet.port))
        taken.listen()
        own = [("--state-dir", str(fleet.folder / f"state-{number}")) for number in range(len(hosts))]
        masters = [fleet.master("--bind-host", host, *state) for host, state in zip(hosts, own, strict=True)]
        assert [master.process.wait(60) for master in masters] == [2] * len(hosts), fleet.story()
    for host, master in zip(hosts, masters, strict=True):
        assert f"cannot listen on {host}: " in master.text()
        assert "Traceback" not in master.text()


def test_what_is_no_name_is_said(fleet: Fleet) -> None:
    members = [fleet.master("--bind-host", "n" * 300), fleet.worker("one", "--master-host", "n" * 300)]
    for member in members:
        assert member.process.wait(60) == 2, fleet.story()
        assert "nnn: that is no name." in member.text()
        assert "Traceback" not in member.text()


def test_a_second_master_of_a_region_is_refused_as_every_tick_would_run_twice(fleet: Fleet) -> None:
    first = fleet.master("--region", "east,west")
    assert until(lambda: fleet.get("/healthz")[0] == 200), fleet.story()
    fleet.port, fleet.status_port = free_port(), free_port()
    second = fleet.master("--region", "west")
    assert second.process.wait(60) == 2, fleet.story()
    assert "--region west: a master of it runs already" in second.text()
    assert "Traceback" not in second.text()
    first.stop(signal.SIGKILL)
    fleet.master("--region", "west")
    assert until(lambda: fleet.get("/healthz")[0] == 200), fleet.story()


def test_a_ledger_that_is_taken_away_does_not_double_what_is_sent(fleet: Fleet, target: StandIn) -> None:
    master = fleet.master()
    fleet.worker("one")
    assert until(lambda: judged(fleet, "health")), fleet.story()
    for file in (fleet.folder / "master").glob("ledger.sqlite3*"):
        file.unlink()
    assert until(lambda: "The ledger is new" in fleet.cell("health")["reason"]), fleet.story()
    time.sleep(1)  # what had its permit is run
    target.reset()
    time.sleep(4)
    assert target.ledger() == []
    assert "the ledger is not the one that was there before" in master.text()
    assert until(lambda: judged(fleet, "health")), fleet.story()


def test_a_worker_that_finds_no_master_says_so_and_one_that_comes_is_found(fleet: Fleet) -> None:
    worker = fleet.worker("one")
    assert until(lambda: f"no answer from a master at 127.0.0.1:{fleet.port}" in worker.text()), fleet.story()
    fleet.master()
    assert until(lambda: judged(fleet, "health")), fleet.story()
