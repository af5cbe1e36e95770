"""Both ways into New Relic, each with its outbox: one that fails leaves the other alone; in the end both are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.config.metrics import METRICS
from probes.config.monitoring import NewRelicOptions
from probes.monitoring import newrelic_wire
from probes.monitoring import outbox as outbox_module
from probes.monitoring.newrelic import make_service
from probes.monitoring.outbox import Outbox
from probes.monitoring.samples import Sample
from probes.monitoring.spool import Spool
from tests.monitoring.newrelic_server import Mode, NewRelicServer, newrelic_server
from tests.monitoring.outbox_help import make_impatient, until

TAGS = (("env", "local"), ("check", "api"))
DATA = ("custom_event_data", "metrics")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    make_impatient(monkeypatch, flush_s=0.02, pause_s=0.05)
    monkeypatch.setattr(outbox_module, "TIMEOUT_S", 0.2)  # nothing is patched here, so that it blocks all greenlets
    monkeypatch.setattr(newrelic_wire, "UNREADABLE_WAIT_S", 0.1)
    monkeypatch.setattr(newrelic_wire, "DISMISSED_WAIT_S", 0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NewRelicServer]:
    with newrelic_server(tmp_path) as running:
        yield running


def outboxes(server: NewRelicServer, folder: Path) -> list[Outbox]:
    services = make_service(NewRelicOptions(), server.environment)
    started = [Outbox(service, Spool(folder / service.name), METRICS) for service in services]
    for outbox in started:
        outbox.start()
    return started


def told(outboxes: list[Outbox], first: int) -> None:
    """Three samples, each in a second of its own, and hours ago."""
    now = float(int(time.time())) - 20 * 3600
    for outbox in outboxes:
        outbox.add(
            [Sample("smoke_test.success", float(n), "gauge", "", TAGS, now + n) for n in range(first, first + 3)]
        )


def all_have(outboxes: list[Outbox], **counts: int) -> bool:
    return all(counts.items() <= outbox.counts().items() for outbox in outboxes)


def closed(outboxes: list[Outbox]) -> None:
    for outbox in outboxes:
        outbox.close(time.monotonic() + 2.0)


@pytest.mark.parametrize("mode", [401, 403, 409, 410, 429, 503, "cut", "take and cut", "hang", "nonsense"])
def test_what_dies_and_comes_back_has_everything_in_the_end(server: NewRelicServer, tmp_path: Path, mode: Mode) -> None:
    both = outboxes(server, tmp_path)
    told(both, 0)
    assert until(lambda: all_have(both, sent=3))
    server.mode = mode
    told(both, 3)
    assert until(lambda: all_have(both, spooled=3))
    assert all(outbox.trouble for outbox in both)
    server.mode = "up"
    told(both, 6)
    assert until(lambda: all_have(both, sent=9, spooled=0, dropped=0))
    assert not any(outbox.trouble for outbox in both)
    closed(both)
    for values in (server.attributes, server.values):
        found = values("smoke_test.success")
        assert sorted(set(found)) == [float(n) for n in range(9)]
        twice = sorted(value for value in set(found) if found.count(value) > 1)
        assert not twice or (mode == "take and cut" and set(twice) <= {3.0, 4.0, 5.0})  # as the runbook says
    assert server.complaints == []


@pytest.mark.parametrize("troubled", [0, 1], ids=DATA)
def test_one_way_that_fails_leaves_the_other_alone(server: NewRelicServer, tmp_path: Path, troubled: int) -> None:
    server.mode, server.troubled = 503, frozenset({DATA[troubled]})
    both = outboxes(server, tmp_path)
    told(both, 0)
    closed(both)
    assert both[troubled].counts() == {"sent": 0, "spooled": 3, "dropped": 0}
    assert both[1 - troubled].counts() == {"sent": 3, "spooled": 0, "dropped": 0}
    server.mode = "up"
    again = outboxes(server, tmp_path)
    closed(again)
    assert server.attributes("smoke_test.success") == server.values("smoke_test.success") == [0.0, 1.0, 2.0]


def test_what_is_too_old_is_not_sent(server: NewRelicServer, tmp_path: Path) -> None:
    both = make_service(NewRelicOptions(), server.environment)
    for service in both:
        at = time.time() - service.longest_past_s
        old, fresh = (Sample("smoke_test.success", n, "gauge", "", TAGS, at + 60.0 * n) for n in (-1.0, 1.0))
        Spool(tmp_path / service.name).write([old, fresh])
    started = outboxes(server, tmp_path)
    closed(started)
    assert all_have(started, sent=1, spooled=0, dropped=1)
    assert server.complaints == []
