"""New Relic's two ways in: a collector that is registered with, and an endpoint for dimensional metrics."""

from __future__ import annotations

import copy
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.config.monitoring import NewRelicOptions
from probes.errors import ConfigError
from probes.monitoring import nrql
from probes.monitoring.base import Fate
from probes.monitoring.newrelic import Events, Metrics, make_service
from probes.monitoring.samples import Sample
from tests.monitoring.newrelic_server import (
    KEY,
    USER_KEY,
    Mode,
    NewRelicServer,
    newrelic_server,
    wrong_with,
    wrong_with_metric,
)

TAGS = (("env", "local"), ("region", "eu-west-1"), ("check", "api"), ("version", ""), ("mode", "run"))
SHOWN = {"env": "local", "region": "eu-west-1", "check": "api", "mode": "run", "service": "shop"}
REGISTERED = ["preconnect", "connect", "agent_settings"]
WAYS = pytest.mark.parametrize("way", [0, 1], ids=["events", "metrics"])


def batch() -> list[Sample]:
    now = float(int(time.time()))
    return [
        Sample("smoke_test.duration", 1.5, "gauge", "second", TAGS, now - 100),
        Sample("smoke_test.success", 1.0, "gauge", "", TAGS, now - 100),
        Sample("smoke_test.api_response", 2.0, "gauge", "millisecond", TAGS, now),
        Sample("smoke_test.api_response", 4.0, "gauge", "millisecond", TAGS, now),
        Sample("smoke_test.flaky", 1.0, "count", "", TAGS, now),
    ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NewRelicServer]:
    with newrelic_server(tmp_path) as running:
        yield running


def services(server: NewRelicServer, prefix: str = "", **environ: str) -> tuple[Events, Metrics]:
    options = NewRelicOptions(tags={"service": "shop"}, prefix=prefix)
    return make_service(options, {**server.environment, "NEW_RELIC_LICENSE_KEY": f"{KEY}\n", **environ})


def test_events_have_what_belongs_together_and_their_own_time(server: NewRelicServer) -> None:
    sent = batch()
    assert services(server, "probe.")[0].send(sent, 2.0).fate is Fate.DELIVERED
    assert server.complaints == []
    assert server.asked == [*REGISTERED, "custom_event_data"]
    then, now = ({"type": "SmokeTest", "timestamp": int(sent[n].at) * 1000, **SHOWN} for n in (0, 2))
    assert server.events == [
        {**then, "probe.smoke_test.duration": 1.5, "probe.smoke_test.success": 1.0},
        {**now, "probe.smoke_test.api_response": 2.0, "probe.smoke_test.flaky": 1.0},
        {**now, "probe.smoke_test.api_response": 4.0},  # each request counts
    ]


def test_metrics_have_names_units_tags_and_their_own_time(server: NewRelicServer) -> None:
    sent = batch()
    assert services(server, "probe.")[1].send(sent, 2.0).fate is Fate.DELIVERED
    assert server.complaints == []
    assert server.asked == ["metrics"]
    assert {p.tags for p in server.points} == {frozenset(SHOWN.items())}
    assert [(p.name, p.value, p.unit, p.is_sum, p.at_ms // 1000 - int(sent[2].at)) for p in server.points] == [
        ("probe.smoke_test.duration", 1.5, "s", False, -100),
        ("probe.smoke_test.success", 1.0, "1", False, -100),
        ("probe.smoke_test.api_response", 2.0, "ms", False, 0),
        ("probe.smoke_test.api_response", 4.0, "ms", False, 0),
        ("probe.smoke_test.flaky", 1.0, "1", True, 0),
    ]


def test_a_process_registers_once_and_again_when_asked_to(server: NewRelicServer) -> None:
    events, _ = services(server)
    for _ in range(2):
        assert events.send(batch(), 2.0).fate is Fate.DELIVERED
    assert server.asked == [*REGISTERED, "custom_event_data", "custom_event_data"]
    assert server.connections == 2  # to register costs no connection of its own
    server.forget()
    assert events.send(batch(), 2.0).fate is Fate.DELIVERED
    assert server.asked[5:] == ["custom_event_data", *REGISTERED, "custom_event_data"]
    assert len(server.events) == 9
    assert server.complaints == []


def test_nothing_is_told_of_the_machine(server: NewRelicServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_RELIC_METADATA_SECRET", "of the cluster")
    assert services(server)[0].send(batch(), 2.0).fate is Fate.DELIVERED
    (told,) = server.connects
    assert (told["host"], told["display_host"], told["metadata"], told["environment"]) == ("smokeprobe",) * 2 + ({}, [])
    assert told["pid"] == os.getpid()
    assert told["utilization"] == {
        "metadata_version": 5, "logical_processors": None, "total_ram_mib": None, "hostname": "smokeprobe",
    }  # fmt: skip
    assert server.told["custom_insights_events.enabled"]
    assert str(server.authorities) not in str(server.told)
    assert not {name for name in server.told if "proxy" in name}


@WAYS
@pytest.mark.parametrize(
    ("mode", "fate", "why", "wait_s"),
    [
        (400, Fate.REFUSED, "cannot read", 0.0),
        (401, Fate.LATER, "NEW_RELIC_LICENSE_KEY", 60.0),
        (403, Fate.LATER, "NEW_RELIC_LICENSE_KEY", 60.0),
        (404, Fate.LATER, "404", 0.0),
        (409, Fate.LATER, "register anew", 0.0),
        (410, Fate.LATER, "no more of us", 600.0),
        (413, Fate.REFUSED, "too large", 0.0),
        (429, Fate.LATER, "left alone", 0.0),
        (503, Fate.LATER, "503", 0.0),
        ("cut", Fate.LATER, "cut off", 0.0),
        ("take and cut", Fate.LATER, "cut off", 0.0),
        ("hang", Fate.LATER, "in time", 0.0),
        ("nonsense", Fate.LATER, "something in between", 0.0),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["at first", "later"])
def test_every_answer_has_its_meaning(  # noqa: PLR0917 - a table
    server: NewRelicServer, way: int, mode: Mode, fate: Fate, why: str, wait_s: float, first: bool
) -> None:
    service = services(server)[way]
    if not first:
        assert service.send(batch(), 2.0).fate is Fate.DELIVERED
    server.mode = mode
    said = service.send(batch(), 0.3)
    assert (said.fate, said.wait_s) == (fate, wait_s), said
    assert why in said.why
    assert KEY not in said.why
    server.mode = "up"
    assert service.send(batch(), 2.0).fate is Fate.DELIVERED
    assert server.complaints == []


@pytest.mark.parametrize("troubled", [*REGISTERED, "custom_event_data"])
def test_whatever_step_fails_what_is_not_taken_is_not_there(server: NewRelicServer, troubled: str) -> None:
    events, _ = services(server)
    server.mode, server.troubled = 503, frozenset({troubled})
    assert events.send(batch(), 2.0).fate is Fate.LATER
    assert server.events == []
    server.mode = "up"
    assert events.send(batch(), 2.0).fate is Fate.DELIVERED
    assert len(server.events) == 3


@WAYS
def test_one_that_is_not_there_is_noticed(server: NewRelicServer, way: int) -> None:
    said = services(server, NEW_RELIC_PORT="9")[way].send(batch(), 0.5)
    assert said.fate is Fate.LATER
    assert "no connection" in said.why


@WAYS
def test_nobody_is_trusted_who_is_not_known(server: NewRelicServer, way: int) -> None:
    said = services(server, NEW_RELIC_CA_BUNDLE_PATH="")[way].send(batch(), 0.5)
    assert said.fate is Fate.LATER
    assert "not trusted" in said.why
    assert server.asked == []


@pytest.mark.parametrize(
    "settings", [{"collect_custom_events": False}, {"agent_config": {"custom_insights_events.enabled": False}}]
)
def test_an_account_that_takes_no_events_is_sent_none(server: NewRelicServer, settings: dict[str, Any]) -> None:
    server.settings = settings
    said = services(server)[0].send(batch(), 2.0)
    assert (said.fate, said.why) == (Fate.REFUSED, "the account takes no custom events")
    assert server.asked == REGISTERED


def test_values_that_are_refused_among_others_are_said(server: NewRelicServer) -> None:
    server.rejects = 2
    said = services(server)[1].send(batch(), 2.0)
    assert (said.fate, said.why) == (Fate.REFUSED, "it has refused 2 of 5 values")


def addresses(environ: dict[str, str], key: str = KEY, **options: Any) -> tuple[tuple[str, int], ...]:
    environ = {"NEW_RELIC_LICENSE_KEY": key, **environ}
    return tuple(service.address for service in make_service(NewRelicOptions(**options), environ))


@pytest.mark.parametrize(
    ("key", "options", "collector", "metrics"),
    [
        ("0" * 40, {}, "collector.newrelic.com", "otlp.nr-data.net"),
        (KEY, {}, "collector.eu01.nr-data.net", "otlp.eu01.nr-data.net"),
        ("0" * 40, {"region": "eu"}, "collector.eu01.nr-data.net", "otlp.eu01.nr-data.net"),
        (KEY, {"region": "us"}, "collector.newrelic.com", "otlp.nr-data.net"),
        ("gov01xx" + "0" * 33, {}, "collector.gov01.nr-data.net", "gov-otlp.nr-data.net"),
        ("evil.example/x", {}, "collector.newrelic.com", "otlp.nr-data.net"),
    ],
)
def test_by_itself_it_goes_where_the_account_is(
    key: str, options: dict[str, Any], collector: str, metrics: str
) -> None:
    assert addresses({}, key, **options) == ((collector, 443), (metrics, 443))


@pytest.mark.parametrize(
    ("environ", "collector", "metrics"),
    [
        ({"NEW_RELIC_HOST": "relay.example"}, ("relay.example", 443), ("relay.example", 443)),
        ({"NEW_RELIC_HOST": "https://relay.example:8443/"}, ("relay.example", 8443), ("relay.example", 8443)),
        (
            {"NEW_RELIC_HOST": "collector.eu01.nr-data.net"},
            ("collector.eu01.nr-data.net", 443), ("otlp.eu01.nr-data.net", 443),
        ),
        (
            {"NEW_RELIC_HOST": "localhost", "NEW_RELIC_OTLP_HOST": "otlp.example", "NEW_RELIC_OTLP_PORT": "4318"},
            ("localhost", 443), ("otlp.example", 4318),
        ),
    ],
)  # fmt: skip
def test_the_environment_may_name_others(
    environ: dict[str, str], collector: tuple[str, int], metrics: tuple[str, int]
) -> None:
    assert addresses(environ) == (collector, metrics)


@pytest.mark.parametrize("variable", ["NEW_RELIC_HOST", "NEW_RELIC_OTLP_HOST"])
@pytest.mark.parametrize(
    "url", ["http://relay.example", "http://127.0.0.1", "ftp://x", "https://", "https://me@x", "x/y"]
)
def test_the_key_goes_nowhere_where_it_could_be_read(variable: str, url: str) -> None:
    with pytest.raises(ConfigError, match="over https only"):
        addresses({variable: url})


@pytest.mark.parametrize("port", ["x", "65536", "-1"])
def test_what_is_no_port_is_said(port: str) -> None:
    with pytest.raises(ConfigError, match="NEW_RELIC_PORT"):
        addresses({"NEW_RELIC_PORT": port})


def test_a_variable_that_the_package_cannot_read_is_said() -> None:
    environ = {**os.environ, "NEW_RELIC_OTLP_PORT": "none"}
    line = [sys.executable, "-c", "import probes.monitoring.newrelic"]
    done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False)
    assert "ConfigError: The package newrelic cannot read the environment" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("mode", ["up", 503, "cut"])
def test_no_log_has_the_key(server: NewRelicServer, mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.mode = mode
    for service in services(server, **server.asking):
        service.send(batch(), 2.0)
        service.read_back(batch()[0], 0.1)
    assert KEY not in caplog.text
    assert USER_KEY not in caplog.text


@WAYS
def test_it_is_read_back_where_it_can_be_asked(
    server: NewRelicServer, way: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = services(server, **server.asking)[way]
    sample = batch()[0]
    monkeypatch.setattr(nrql, "EVERY_S", 30.0)  # so that it is asked once
    assert service.read_back(sample, 20.0) is False
    assert service.send([sample], 20.0).fate is Fate.DELIVERED
    server.delayed = 3  # it is there, but not at once
    monkeypatch.setattr(nrql, "EVERY_S", 0.02)
    assert service.read_back(sample, 20.0) is True
    assert server.complaints == []


@pytest.mark.parametrize(
    "environ", [{"NEW_RELIC_API_KEY": ""}, {"NEW_RELIC_ACCOUNT_ID": "mine"}, {"NEW_RELIC_API_KEY": "wrong"}]
)
def test_where_it_cannot_be_asked_nothing_is_claimed(server: NewRelicServer, environ: dict[str, str]) -> None:
    events, metrics = services(server, **{**server.asking, **environ})
    assert events.read_back(batch()[0], 1.0) is None
    assert metrics.read_back(batch()[0], 1.0) is None


def test_a_users_key_goes_over_https_only_and_is_not_shown(server: NewRelicServer) -> None:
    with pytest.raises(ConfigError, match="over https only"):
        services(server, **{**server.asking, "NEW_RELIC_NERDGRAPH_API_URL": "http://localhost/graphql"})
    assert USER_KEY not in repr(nrql.Asker.of({**server.environment, **server.asking}, eu=True))


Spoil = Callable[[Any], object]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event[0].update(timestamp=time.time()),
        lambda event: event[0].update(timestamp=1),
        lambda event: event[0].pop("timestamp"),
        lambda event: event[0].update(type="a.b"),
        lambda event: event[1].clear(),
        lambda event: event[1].update(timestamp=1),
        lambda event: event[1].update(text="x" * 256),
        lambda event: event[1].update(flag=True),
        lambda event: event[1].update(value=float("nan")),
        lambda event: event[1].update({f"a{n}": n for n in range(64)}),
    ],
)
def test_the_server_would_complain_of_an_event(spoil: Spoil) -> None:
    right: Any = [{"type": "A", "timestamp": int(time.time() * 1000)}, {"a.b": 1.0, "c": "d"}]
    assert wrong_with(right) == []
    spoil(right)
    assert wrong_with(right) != []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda metric: metric.update(unit="second"),
        lambda metric: metric.update(name="1bad"),
        lambda metric: metric.update(gauge=metric.pop("sum")),
        lambda metric: metric["sum"].update(aggregationTemporality=2),
        lambda metric: metric["sum"].update(dataPoints=[]),
        lambda metric: metric["sum"]["dataPoints"][0].pop("startTimeUnixNano"),
        lambda metric: metric["sum"]["dataPoints"][0].update(startTimeUnixNano="9" * 19),
        lambda metric: metric["sum"]["dataPoints"][0].update(timeUnixNano="1" + "0" * 18),
        lambda metric: metric["sum"]["dataPoints"][0].update(asDouble=float("inf")),
        lambda metric: metric["sum"]["dataPoints"][0]["attributes"].append({"key": "a", "value": {"stringValue": "c"}}),
        lambda metric: metric["sum"]["dataPoints"][0]["attributes"][0].update(value="b"),
    ],
)
def test_the_server_would_complain_of_a_metric(spoil: Spoil) -> None:
    now = time.time_ns()
    point = {"startTimeUnixNano": str(now - 10**9), "timeUnixNano": str(now), "asDouble": 1.0}
    attributes = [{"key": "a", "value": {"stringValue": "b"}}]
    body = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [{**point, "attributes": attributes}]}
    right: Any = {"name": "a.b", "unit": "1", "sum": body}
    assert wrong_with_metric(copy.deepcopy(right)) == []
    spoil(right)
    assert wrong_with_metric(right) != []


@pytest.mark.parametrize("key", ["abc\ndef", "abc\r\nX-A: b", "schlüssel"])
def test_a_key_that_is_none_is_said_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="NEW_RELIC_LICENSE_KEY") as raised:
        make_service(NewRelicOptions(), {"NEW_RELIC_LICENSE_KEY": key})
    assert key not in str(raised.value)
