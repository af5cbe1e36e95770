"""A fleet's metrics go out once, from its master: to whoever scrapes it, and to a service that comes and goes."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from probes.standin.process import StandIn
from tests.fleet.harness import Fleet, fleet_of, until
from tests.monitoring.datadog_server import KEY, DatadogServer, datadog_server
from tests.monitoring.loopback import serving
from tests.monitoring.prometheus_servers import asked, prometheus, read_page
from tests.watcher import PATH, Watcher

pytestmark = pytest.mark.fleet


@pytest.fixture
def datadog() -> Iterator[DatadogServer]:
    with datadog_server() as server:
        yield server


@pytest.fixture
def fleet(design: StandIn, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(design, tmp_path) as made:
        yield made


def judged(fleet: Fleet) -> int:
    """How many verdicts on the target the history has."""
    with closing(sqlite3.connect(fleet.folder / "master" / "history.sqlite3")) as db:
        (count,) = db.execute(
            "SELECT count(*) FROM history WHERE outcome IN ('passed', 'degraded', 'failed')"
        ).fetchone()
        return int(count)


def test_every_verdict_goes_out_once_through_an_outage_and_a_restart(fleet: Fleet, datadog: DatadogServer) -> None:
    both = {**datadog.environment, "SMOKEPROBE_MONITORING": "datadog prometheus"}
    master = fleet.master(env=both)
    # the workers have it too, and send nothing
    fleet.worker("w1", env=datadog.environment)
    fleet.worker("w2", env=datadog.environment)
    assert until(lambda: len(datadog.values("smoke_test.success")) >= 4), fleet.story()
    text = fleet.get("/metrics")[1]
    shown = read_page(text)
    assert shown["smoke_test_success", "api", "1.2.3"] == 1.0, text
    assert "smokeprobe_check_outcome" in text

    datadog.mode = 500
    spool = fleet.folder / "master" / "spool" / "local" / "datadog"
    assert until(lambda: list(spool.glob("*.json"))), fleet.story()
    board = fleet.board()
    assert board["sinks"]["datadog"]["spooled"] > 0
    assert "datadog: HTTP 500: it takes nothing now." in board["trouble"]
    assert re.search(r'smokeprobe_samples\{service="datadog",state="spooled"\} [1-9]', fleet.get("/metrics")[1])
    assert fleet.get("/readyz")[0] == 200  # it is the probe's trouble, and keeps it from nothing
    assert master.stop() == 0, fleet.story()
    assert KEY not in fleet.story()
    datadog.mode = "up"
    again = fleet.master(env=both)
    assert until(lambda: not list(spool.glob("*.json")), 40), fleet.story()
    assert again.stop() == 0, fleet.story()

    assert datadog.complaints == []
    assert {tag for _, tags, _ in datadog.points for tag in tags if tag.startswith("mode:")} == {"mode:fleet"}
    assert len(datadog.values("smoke_test.success")) == judged(fleet), fleet.story()
    for member in ("w1", "w2"):
        assert not (fleet.folder / member / "spool").exists()


def test_occasions_that_come_to_nothing_are_blind(fleet: Fleet, datadog: DatadogServer) -> None:
    master = fleet.master(env=datadog.environment)
    assert until(lambda: 1.0 in datadog.values("smoke_test.blind", "check:health"), 40), fleet.story()
    assert datadog.values("smoke_test.success") == []
    assert master.stop() == 0


def test_prometheus_scrapes_a_master(fleet: Fleet, tmp_path: Path) -> None:
    fleet.master(env={"SMOKEPROBE_MONITORING": "prometheus"})
    fleet.worker("w1")
    with prometheus(tmp_path, f"127.0.0.1:{fleet.status_port}") as server:
        assert until(lambda: {"health", "api"} <= set(asked(server, "smoke_test_success")), 40), fleet.story()
        assert asked(server, 'smoke_test_success{region="local",mode="fleet"}')["health"] == 1.0
        assert until(lambda: asked(server, "smoke_test_throttled_total").get("health") == 0.0)
        assert asked(server, "smoke_test_phase_ttfb")["api"] > 0


def test_a_master_without_a_service_has_none_of_it(fleet: Fleet, datadog: DatadogServer) -> None:
    fleet.master(env={"DD_API_KEY": KEY, "DATADOG_HOST": datadog.url})
    fleet.worker("w1")
    assert until(lambda: fleet.cell("api")["outcome"] == "passed"), fleet.story()
    assert "smoke_test_" not in fleet.get("/metrics")[1]
    assert json.loads(fleet.get("/readyz")[1])["ready"]
    assert datadog.requests == 0


def test_a_master_pings_once_it_has_judged_and_its_workers_do_not(fleet: Fleet) -> None:
    with serving(Watcher()) as watcher:
        env = {"SMOKEPROBE_HEARTBEAT_URL": f"{watcher.url}{PATH}"}
        fleet.master(env=env)
        assert watcher.pings == []
        fleet.worker("w1", env=env)
        assert until(lambda: watcher.pings), fleet.story()
        assert until(lambda: judged(fleet) >= 6), fleet.story()
        assert watcher.pings == [PATH]  # no more than one a minute
