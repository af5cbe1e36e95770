"""The way to a service that comes and goes: nothing is lost, nothing counts twice, and nobody waits."""

from __future__ import annotations

import math
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from probes.config.metrics import METRICS
from probes.config.monitoring import DatadogOptions
from probes.monitoring import outbox as outbox_module
from probes.monitoring.base import DELIVERED, Said
from probes.monitoring.datadog import make_service
from probes.monitoring.outbox import Outbox
from probes.monitoring.samples import Sample
from probes.monitoring.spool import Spool
from tests.monitoring.datadog_server import KEY, DatadogServer, Mode, datadog_server
from tests.monitoring.outbox_help import make_impatient, until

TAGS = (("env", "local"), ("check", "api"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    make_impatient(monkeypatch, flush_s=0.05, pause_s=0.1)
    monkeypatch.setattr(outbox_module, "TIMEOUT_S", 0.3)  # nothing is patched here, so that it blocks all greenlets


@pytest.fixture
def server() -> Iterator[DatadogServer]:
    with datadog_server() as running:
        yield running


def outbox_to(url: str, folder: Path, *, wants: Container[str] = METRICS) -> Outbox:
    service = make_service(DatadogOptions(), {"DD_API_KEY": KEY, "DATADOG_HOST": url})
    return Outbox(service, Spool(folder), wants)


def samples(count: int, first: int = 0, name: str = "smoke_test.success") -> list[Sample]:
    """Each in a second of its own, and lately."""
    now = float(int(time.time())) - 1000
    return [Sample(name, float(first + n), "gauge", "", TAGS, now + first + n) for n in range(count)]


def closed(outbox: Outbox, within_s: float = 2.0) -> dict[str, int]:
    outbox.close(time.monotonic() + within_s)
    return outbox.counts()


def test_batches_go_by_time(server: DatadogServer, tmp_path: Path) -> None:
    outbox = outbox_to(server.url, tmp_path)
    outbox.start()
    outbox.add(samples(3))
    assert until(lambda: len(server.points) == 3)
    outbox.add(samples(3, 3))
    assert until(lambda: len(server.points) == 6)
    assert server.requests == 2
    assert closed(outbox) == {"sent": 6, "spooled": 0, "dropped": 0}


def test_batches_go_by_size(server: DatadogServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "FLUSH_S", 60.0)
    monkeypatch.setattr(outbox_module, "AT_ONCE", 10)
    outbox = outbox_to(server.url, tmp_path)
    outbox.start()
    gevent.sleep(0.05)
    outbox.add(samples(9))
    gevent.sleep(0.1)
    assert server.requests == 0
    outbox.add(samples(16, 9))
    assert until(lambda: len(server.points) == 25)
    assert server.requests == 3
    assert closed(outbox)["sent"] == 25


def test_a_second_is_never_torn_apart(server: DatadogServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "AT_ONCE", 2)
    at = float(int(time.time()))
    outbox = outbox_to(server.url, tmp_path)
    outbox.add([Sample("smoke_test.api_response", value, "gauge", "", TAGS, at) for value in (1.0, 2.0, 6.0)])
    outbox.start()
    assert until(lambda: server.values("smoke_test.api_response") == [3.0])
    closed(outbox)
    assert server.requests == 1


@pytest.mark.parametrize("mode", [403, 429, 500, "cut", "take and cut", "hang"])
def test_a_service_that_dies_and_comes_back_has_everything_once(
    server: DatadogServer, tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.monitoring.datadog.UNREADABLE_WAIT_S", 0.2)
    monkeypatch.setattr("probes.monitoring.datadog.seconds_asked", lambda _: 0.2)
    outbox = outbox_to(server.url, tmp_path)
    outbox.start()
    outbox.add(samples(5))
    assert until(lambda: outbox.sent == 5)
    server.mode = mode
    outbox.add(samples(5, 5))
    assert until(lambda: outbox.counts()["spooled"] == 5)
    outbox.add(samples(5, 10))
    assert until(lambda: outbox.counts()["spooled"] == 10)
    assert outbox.trouble
    server.mode = "up"
    outbox.add(samples(5, 15))
    assert until(lambda: outbox.counts() == {"sent": 20, "spooled": 0, "dropped": 0})
    assert outbox.trouble == ""
    assert server.values("smoke_test.success") == [float(n) for n in range(20)]
    assert server.complaints == []
    closed(outbox)


def test_what_one_process_leaves_the_next_one_sends(server: DatadogServer, tmp_path: Path) -> None:
    server.mode = 500
    first = outbox_to(server.url, tmp_path)
    first.start()
    first.add(samples(5))
    assert closed(first) == {"sent": 0, "spooled": 5, "dropped": 0}
    server.mode = "up"
    second = outbox_to(server.url, tmp_path)
    second.start()
    second.add(samples(5, 5))
    assert closed(second, within_s=20.0) == {"sent": 10, "spooled": 0, "dropped": 0}
    assert server.values("smoke_test.success") == [float(n) for n in range(10)]


def test_what_is_too_old_by_then_is_dropped_and_the_rest_sent(server: DatadogServer, tmp_path: Path) -> None:
    old = [Sample("smoke_test.success", 1.0, "gauge", "", TAGS, time.time() - 4000)]
    Spool(tmp_path).write(old + samples(2))
    outbox = outbox_to(server.url, tmp_path)
    outbox.start()
    assert closed(outbox, within_s=20.0) == {"sent": 2, "spooled": 0, "dropped": 1}
    assert server.complaints == []


def test_a_broken_file_in_the_spool_is_counted_and_in_nobodys_way(server: DatadogServer, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write(samples(7))
    spool.batches()[0].path.write_text("{")
    spool.write(samples(2))
    outbox = outbox_to(server.url, tmp_path)
    outbox.start()
    assert closed(outbox) == {"sent": 2, "spooled": 0, "dropped": 7}


@pytest.mark.parametrize(
    "spoil",
    [
        {"name": "smoke_test.gone"},  # another version's
        {"at": 4e9},  # written while the clock was wrong
        {"at": 1e300},
        {"value": math.inf},
    ],
)
def test_what_no_service_could_take_is_dropped_and_holds_up_nothing(
    server: DatadogServer, tmp_path: Path, spoil: dict[str, Any]
) -> None:
    spool = Spool(tmp_path)
    spool.write([replace(sample, **spoil) for sample in samples(3)])
    spool.write(samples(2))
    outbox = outbox_to(server.url, tmp_path)
    outbox.start()
    assert closed(outbox) == {"sent": 2, "spooled": 0, "dropped": 3}
    assert (server.complaints, outbox.trouble) == ([], "")


def test_what_a_file_holds_counts_and_not_what_its_name_says(server: DatadogServer, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write(samples(2))
    (batch,) = spool.batches()
    batch.path.rename(tmp_path / "1-1-1-100.json")
    outbox = outbox_to(server.url, tmp_path)
    outbox.start()
    assert closed(outbox) == {"sent": 2, "spooled": 0, "dropped": 0}


class Slow:
    """A service that takes everything, in its time; `begun` and `taken` tell of what was cut off."""

    name = "slow"
    longest_past_s = 3600.0

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self.begun: list[Sample] = []
        self.taken: list[Sample] = []

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:  # noqa: ARG002 - the protocol's
        self.begun += batch
        gevent.sleep(self._takes_s)
        self.taken += batch
        return DELIVERED

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        return None


def test_what_the_end_has_no_time_for_waits_and_nothing_is_cut_off(tmp_path: Path) -> None:
    spool, service = Spool(tmp_path), Slow(0.2)
    for number in range(20):
        spool.write(samples(1, number))
    ends = 0
    for _ in range(10):
        outbox = Outbox(service, Spool(tmp_path), METRICS)
        outbox.start()
        outbox.add(samples(1, 100 + ends))
        counts = closed(outbox)
        ends += 1
        assert service.begun == service.taken  # what is cut off may have arrived, and comes again
        assert outbox.trouble == ""
        if counts["spooled"] == 0:
            break
    assert ends > 1
    assert sorted(sample.value for sample in service.taken) == [*range(20), *range(100, 100 + ends)]


def test_what_is_left_at_the_end_lies_there_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "AT_ONCE", 4)
    outbox = Outbox(Slow(60.0), Spool(tmp_path), METRICS)
    outbox.start()
    outbox.add(samples(10))
    outbox.close(time.monotonic() + 0.5)
    assert [batch.count for batch in Spool(tmp_path).batches()] == [4, 4, 2]
    assert outbox.counts() == {"sent": 0, "spooled": 10, "dropped": 0}


def test_memory_is_bounded_and_what_goes_is_counted(
    server: DatadogServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_WAITING", 10)
    outbox = outbox_to(server.url, tmp_path)
    outbox.add(samples(15))
    assert outbox.dropped == 5
    outbox.start()
    assert closed(outbox) == {"sent": 10, "spooled": 0, "dropped": 5}
    assert server.values("smoke_test.success") == [float(n) for n in range(5, 15)]


def test_without_a_disk_what_is_not_taken_is_dropped_and_said(server: DatadogServer, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    server.mode = 500
    outbox = outbox_to(server.url, tmp_path / "spool" / "datadog")
    outbox.start()
    outbox.add(samples(3))
    assert closed(outbox) == {"sent": 0, "spooled": 0, "dropped": 3}
    assert "cannot make" in outbox.trouble


def test_a_service_gets_only_what_it_wants(server: DatadogServer, tmp_path: Path) -> None:
    outbox = outbox_to(server.url, tmp_path, wants={"smoke_test.success"})
    outbox.start()
    outbox.add(samples(2) + samples(2, name="smoke_test.blind"))
    assert closed(outbox)["sent"] == 2
    assert {name for name, _, _ in server.points} == {"smoke_test.success"}


def test_nothing_is_sent_while_that_would_disturb_but_at_the_end_it_is(server: DatadogServer, tmp_path: Path) -> None:
    service = make_service(DatadogOptions(), {"DD_API_KEY": KEY, "DATADOG_HOST": server.url})
    outbox = Outbox(service, Spool(tmp_path), METRICS, lambda: False)
    outbox.start()
    outbox.add(samples(3))
    gevent.sleep(0.3)
    assert server.requests == 0
    assert closed(outbox)["sent"] == 3
