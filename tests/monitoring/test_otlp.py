"""OTLP: what a receiver is told, by OpenTelemetry's own schema, and what each of its answers means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.config.metrics import METRICS
from probes.config.monitoring import OtlpOptions
from probes.errors import ConfigError
from probes.monitoring import outbox as outbox_module
from probes.monitoring.base import Fate, Service
from probes.monitoring.otlp import make_service
from probes.monitoring.outbox import Outbox
from probes.monitoring.samples import Sample
from probes.monitoring.spool import Spool
from tests.monitoring.otlp_server import KEY, Mode, OtlpServer, Point, otlp_server

TAGS = (("env", "local"), ("region", "eu-west-1"), ("check", "api"), ("version", ""), ("mode", "run"))
SHOWN = frozenset({"env": "local", "region": "eu-west-1", "check": "api", "mode": "run", "team": "shop"}.items())
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def server() -> Iterator[OtlpServer]:
    with otlp_server() as running:
        yield running


def otlp(server: OtlpServer, prefix: str = "", **more: str) -> Service:
    return make_service(OtlpOptions(tags={"team": "shop"}, prefix=prefix), {**server.environment, **more})


def sample(name: str, value: float, at: float) -> Sample:
    return Sample(name, value, METRICS[name].kind, METRICS[name].unit, TAGS, at)


def batch() -> list[Sample]:
    now = float(int(time.time()))
    return [
        sample("smoke_test.duration", 1.5, now - 100),
        sample("smoke_test.api_response", 2.0, now),
        sample("smoke_test.api_response", 4.0, now + 0.5),
        sample("smoke_test.budget_used", 3.0, now),
        sample("smoke_test.success", 0.0, now),
        sample("smoke_test.flaky", 1.0, now),
        sample("smoke_test.flaky", 1.0, now),
    ]


def test_it_is_told_each_second_with_its_own_time(server: OtlpServer) -> None:
    sent = batch()
    assert otlp(server, "probe.").send(sent, 2.0).fate is Fate.DELIVERED
    assert (server.complaints, server.requests) == ([], 1)
    now = int(sent[1].at)
    assert server.points == [
        Point("probe.smoke_test.duration", 1.5, "s", SHOWN, now - 100, 0),
        Point("probe.smoke_test.api_response", 3.0, "ms", SHOWN, now, 0),  # the mean
        Point("probe.smoke_test.budget_used", 3.0, "%", SHOWN, now, 0),
        Point("probe.smoke_test.success", 0.0, "1", SHOWN, now, 0),
        Point("probe.smoke_test.flaky", 2.0, "1", SHOWN, now, now - 1),
    ]
    assert server.resource == {"service.name": "smokeprobe", "service.namespace": "shop"}


def test_what_is_said_for_metrics_alone_goes_first(server: OtlpServer) -> None:
    more = {
        ENDPOINT: "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{server.url}/v1/metrics",
        "OTEL_SERVICE_NAME": "probes",
    }
    assert otlp(server, **more).send(batch(), 2.0).fate is Fate.DELIVERED
    assert server.complaints == []
    assert server.resource["service.name"] == "probes"


@pytest.mark.parametrize(
    ("mode", "fate", "why", "wait_s"),
    [
        (202, Fate.DELIVERED, "", 0.0),  # some receivers say so, and would else get everything again and again
        (204, Fate.DELIVERED, "", 0.0),
        ("in part", Fate.REFUSED, "it refused 2 values of a batch", 0.0),
        (400, Fate.REFUSED, "HTTP 400: it cannot read what was sent", 0.0),
        (401, Fate.LATER, "OTEL_EXPORTER_OTLP_HEADERS", 60.0),
        (404, Fate.LATER, "nothing takes metrics there", 60.0),
        (413, Fate.REFUSED, "too large", 0.0),
        (429, Fate.LATER, "left alone", 7.0),
        (500, Fate.LATER, "HTTP 500", 0.0),
        (503, Fate.LATER, "HTTP 503", 7.0),
        ("cut", Fate.LATER, "cut off", 0.0),
        ("take and cut", Fate.LATER, "cut off", 0.0),
        ("hang", Fate.LATER, "in time", 0.0),
    ],
)
def test_every_answer_has_its_meaning(server: OtlpServer, mode: Mode, fate: Fate, why: str, wait_s: float) -> None:
    server.mode = mode
    said = otlp(server).send(batch(), 0.3 if mode == "hang" else 2.0)
    assert (said.fate, said.wait_s) == (fate, wait_s)
    assert why in said.why
    assert server.requests == 1
    assert KEY not in said.why
    server.mode = "up"
    assert otlp(server).send(batch(), 2.0).fate is Fate.DELIVERED
    assert server.complaints == []


@pytest.mark.parametrize("mode", [401, 429, 500, "cut", "take and cut", "hang"])
def test_when_it_dies_and_comes_back_it_has_everything(
    server: OtlpServer, tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "TIMEOUT_S", 0.3 if mode == "hang" else 5.0)
    now = float(int(time.time())) - 100
    first, second = (Outbox(otlp(server), Spool(tmp_path), METRICS) for _ in range(2))
    server.mode = mode
    first.start()
    first.add([sample("smoke_test.success", float(n), now + n) for n in range(5)])
    first.close(time.monotonic() + 5.0)
    assert first.counts() == {"sent": 0, "spooled": 5, "dropped": 0}
    assert first.trouble
    monkeypatch.setattr(outbox_module, "TIMEOUT_S", 5.0)
    server.mode = "up"
    second.start()
    second.add([sample("smoke_test.success", float(n), now + n) for n in range(5, 10)])
    second.close(time.monotonic() + 5.0)
    assert second.counts() == {"sent": 10, "spooled": 0, "dropped": 0}
    assert server.complaints == []
    assert sorted({(point.at, point.value) for point in server.points}) == [(now + n, n) for n in range(10)]
    assert len(server.points) == (15 if mode == "take and cut" else 10)  # as the module says


def test_nobody_there_is_no_connection(server: OtlpServer) -> None:
    assert "no connection" in otlp(server, **{ENDPOINT: "http://127.0.0.1:9"}).send(batch(), 1.0).why


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({ENDPOINT: "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "says grpc"),
        ({ENDPOINT: "collector:4318"}, "is no URL"),
        ({ENDPOINT: "http://["}, "is no URL"),
        ({ENDPOINT: "http://localhost", "OTEL_EXPORTER_OTLP_HEADERS": f"api-key=a%0A{KEY}"}, "OTLP_HEADERS: api-key"),
        ({ENDPOINT: "http://localhost", "OTEL_EXPORTER_OTLP_HEADERS": f"b=1,a key={KEY}"}, "OTLP_HEADERS: its 2. name"),
        ({ENDPOINT: "http://collector:4318", "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}"}, "go over https only"),
    ],
)
def test_what_cannot_be_used_is_said_without_its_key(environ: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        make_service(OtlpOptions(), environ)
    assert KEY not in str(raised.value)


def test_a_collector_of_the_own_network_needs_no_tls_where_there_is_no_key() -> None:
    assert make_service(OtlpOptions(), {ENDPOINT: "http://collector:4318/"}).name == "otlp"
