"""CloudWatch comes and goes: nothing is lost, and what comes twice is what its answer was lost of."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from probes.config.metrics import METRICS
from probes.config.monitoring import CloudWatchOptions
from probes.monitoring import outbox as outbox_module
from probes.monitoring.cloudwatch import MOST_DATA, make_service
from probes.monitoring.outbox import AT_ONCE, Outbox
from probes.monitoring.samples import Sample
from probes.monitoring.spool import Spool
from tests.monitoring.cloudwatch_server import CloudWatchServer, Mode, cloudwatch_server
from tests.monitoring.outbox_help import make_impatient, until

TAGS = (("env", "local"), ("check", "api"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    make_impatient(monkeypatch, flush_s=0.05, pause_s=0.1)
    monkeypatch.setattr("probes.monitoring.cloudwatch.NO_ACCESS_WAIT_S", 0.2)


def outbox_to(folder: Path) -> Outbox:
    return Outbox(make_service(CloudWatchOptions(), os.environ), Spool(folder), METRICS)


def samples(count: int, first: int = 0) -> list[Sample]:
    """Each in a second of its own, and lately."""
    now = float(int(time.time())) - 1000
    return [Sample("smoke_test.success", float(first + n), "gauge", "", TAGS, now + first + n) for n in range(count)]


@pytest.mark.parametrize("mode", ["denied", "expired", "throttled", "busy", "broken", "cut", "take and cut", "hang"])
def test_when_it_dies_and_comes_back_it_has_everything(
    cloudwatch: CloudWatchServer, tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = outbox_to(tmp_path)
    outbox.start()
    outbox.add(samples(5))
    assert until(lambda: outbox.sent == 5, 10.0)
    cloudwatch.mode = mode
    if mode == "hang":
        monkeypatch.setattr(outbox_module, "TIMEOUT_S", 0.3)  # nothing is patched here, so that it blocks all greenlets
    outbox.add(samples(5, 5))
    assert until(lambda: outbox.counts()["spooled"] == 5, 10.0)
    assert outbox.trouble
    monkeypatch.setattr(outbox_module, "TIMEOUT_S", 5.0)
    cloudwatch.mode = "up"
    outbox.add(samples(5, 10))
    assert until(lambda: outbox.counts() == {"sent": 15, "spooled": 0, "dropped": 0}, 10.0), outbox.counts()
    assert outbox.trouble == ""
    assert cloudwatch.complaints == []
    came = cloudwatch.values("smoke_test.success")
    once = [float(n) for n in range(15)]
    if mode == "take and cut":  # as the module and the runbook say
        assert sorted(set(came)) == once
        assert len(came) == 20
        at = samples(1, 7)[0].at
        assert any(
            cloudwatch.kept("smoke_test.success", at + late, env="local", check="api") == [7.0, 7.0, 7.0, 2.0]
            for late in (-2, -1, 0)
        )
    else:
        assert came == once
    outbox.close(time.monotonic() + 2.0)


def test_down_from_the_start_then_up_for_the_next_process(
    cloudwatch: CloudWatchServer, moto: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloudwatch_server(moto) as gone:
        port = gone.server_address[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    first = outbox_to(tmp_path)
    first.start()
    first.add(samples(5))
    first.close(time.monotonic() + 2.0)
    assert first.counts() == {"sent": 0, "spooled": 5, "dropped": 0}
    assert "no connection" in first.trouble
    with cloudwatch_server(moto, port) as again:
        second = outbox_to(tmp_path)
        second.start()
        second.add(samples(5, 5))
        second.close(time.monotonic() + 5.0)
        assert second.counts() == {"sent": 10, "spooled": 0, "dropped": 0}
        assert again.values("smoke_test.success") == [float(n) for n in range(10)]
        assert again.complaints == []
    assert cloudwatch.requests == 0


def test_a_week_on_disk_is_not_too_long_but_two_are(cloudwatch: CloudWatchServer, tmp_path: Path) -> None:
    week, now = 7 * 86400.0, time.time()
    ages = (2 * week, week, 1.0)
    Spool(tmp_path).write([Sample("smoke_test.success", 1.0, "gauge", "", TAGS, now - age) for age in ages])
    outbox = outbox_to(tmp_path)
    outbox.start()
    outbox.close(time.monotonic() + 5.0)
    assert outbox.counts() == {"sent": 2, "spooled": 0, "dropped": 1}
    assert cloudwatch.complaints == []


def test_a_batch_is_one_request() -> None:
    """Of two, one could be taken and the other not: then both would go again, and the first be there twice."""
    assert AT_ONCE <= MOST_DATA
