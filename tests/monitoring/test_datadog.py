"""Datadog's two ways in: an agent's DogStatsD, and the HTTP API with every answer it is documented to give."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.config.monitoring import DatadogOptions
from probes.errors import ConfigError
from probes.monitoring.base import Fate, Service
from probes.monitoring.datadog import Api, make_service
from probes.monitoring.samples import Sample
from tests.monitoring.datadog_server import KEY, DatadogServer, Mode, datadog_server, wrong_with
from tests.monitoring.dogstatsd import Listener, Read, listening
from tests.waiting import until

TAGS = (("env", "local"), ("region", "eu-west-1"), ("check", "api"), ("version", ""), ("mode", "run"))
SHOWN = ("env:local", "region:eu-west-1", "check:api", "mode:run", "service:shop")


def batch() -> list[Sample]:
    now = float(int(time.time()))
    return [
        Sample("smoke_test.duration", 1.5, "gauge", "second", TAGS, now - 100),
        Sample("smoke_test.api_response", 2.0, "gauge", "millisecond", TAGS, now),
        Sample("smoke_test.api_response", 4.0, "gauge", "millisecond", TAGS, now + 0.5),
        Sample("smoke_test.flaky", 1.0, "count", "", TAGS, now),
    ]


@pytest.fixture
def server() -> Iterator[DatadogServer]:
    with datadog_server() as running:
        yield running


def api(server: DatadogServer, prefix: str = "") -> Service:
    environ = {"DD_API_KEY": f"{KEY}\n", "DATADOG_HOST": server.url}
    return make_service(DatadogOptions(tags={"service": "shop"}, prefix=prefix), environ)


def test_the_api_is_told_what_it_is_documented_to_take(server: DatadogServer) -> None:
    sent = batch()
    assert api(server, "probe.").send(sent, 2.0).fate is Fate.DELIVERED
    assert server.complaints == []
    now = int(sent[1].at)
    assert {(name, at): value for (name, _, at), value in server.points.items()} == {
        ("probe.smoke_test.duration", now - 100): 1.5,
        ("probe.smoke_test.api_response", now): 3.0,  # the mean: it keeps one value a second
        ("probe.smoke_test.flaky", now): 1.0,
    }
    assert {tags for _, tags, _ in server.points} == {frozenset(SHOWN)}
    assert server.units == {
        "probe.smoke_test.duration": "second", "probe.smoke_test.api_response": "millisecond",
        "probe.smoke_test.flaky": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "fate", "why", "wait_s"),
    [
        (400, Fate.REFUSED, "cannot read", 0.0),
        (403, Fate.LATER, "is DD_API_KEY", 60.0),
        (413, Fate.REFUSED, "too large", 0.0),
        (429, Fate.LATER, "left alone", 7.0),
        (500, Fate.LATER, "500", 0.0),
        ("cut", Fate.LATER, "cut off", 0.0),
        ("take and cut", Fate.LATER, "cut off", 0.0),
        ("hang", Fate.LATER, "in time", 0.0),
    ],
)
def test_every_answer_has_its_meaning(server: DatadogServer, mode: Mode, fate: Fate, why: str, wait_s: float) -> None:
    server.mode = mode
    said = api(server).send(batch(), 0.5)
    assert (said.fate, said.wait_s) == (fate, wait_s)
    assert why in said.why
    assert KEY not in said.why
    server.mode = "up"
    assert api(server).send(batch(), 2.0).fate is Fate.DELIVERED


@pytest.mark.parametrize(
    "url", ["http://api.example", "https://", "https://[", "ftp://127.0.0.1", "http://localhost.example"]
)
def test_the_key_goes_nowhere_where_it_could_be_read(url: str) -> None:
    with pytest.raises(ConfigError, match="over https only"):
        make_service(DatadogOptions(), {"DD_API_KEY": KEY, "DATADOG_HOST": url})


def test_by_itself_it_goes_to_its_site() -> None:
    service = make_service(DatadogOptions(site="datadoghq.eu"), {"DD_API_KEY": KEY})
    assert isinstance(service, Api)
    assert service.url == "https://api.datadoghq.eu"


@pytest.mark.parametrize(
    "spoil",
    [
        {"type": 3, "interval": 1},
        {"type": 2},
        {"unit": "parsec"},
        {"tags": ["no value"]},
        {"tags": ["env:a", "env:b"]},
        {"points": []},
        {"points": [{"timestamp": 1, "value": 1.0}]},
        {"points": [{"timestamp": int(time.time()), "value": "1"}]},
        {"metric": "1bad"},
        {"host": "x"},
    ],
)
def test_the_server_would_complain(spoil: dict[str, object]) -> None:
    right = {"metric": "a.b", "type": 3, "tags": ["env:a"], "points": [{"timestamp": int(time.time()), "value": 1.0}]}
    assert wrong_with(right) == []
    assert wrong_with({**right, **spoil}) != []


@pytest.fixture(params=["udp", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    with listening(tmp_path / "dsd" if request.param == "unix" else None) as running:
        yield running


def agent(monkeypatch: pytest.MonkeyPatch, url: str) -> Service:
    monkeypatch.setenv("DD_DOGSTATSD_URL", url)  # where the package itself looks
    return make_service(DatadogOptions(tags={"service": "shop"}), {"DD_DOGSTATSD_URL": url, "DD_API_KEY": KEY})


def test_an_agent_is_told_each_sample_with_its_own_second(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = batch()
    assert agent(monkeypatch, listener.url).send(sent, 1.0).fate is Fate.DELIVERED
    assert until(lambda: len(listener.read) == 3, 5)
    now = int(sent[1].at)
    assert listener.complaints == []
    assert listener.read == [
        Read("smoke_test.duration", 1.5, "g", SHOWN, now - 100),
        Read("smoke_test.api_response", 3.0, "g", SHOWN, now),
        Read("smoke_test.flaky", 1.0, "c", SHOWN, now),
    ]


def test_an_agent_is_told_no_tags_but_ours(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datadog's own variables, which a cluster sets for each pod, would give a series a second env and version."""
    for name in ("DD_ENV", "DD_VERSION", "DD_SERVICE", "DD_ENTITY_ID"):
        monkeypatch.setenv(name, "another")
    monkeypatch.setenv("DATADOG_TAGS", "pod:a-1,b")
    assert agent(monkeypatch, listener.url).send(batch()[:1], 1.0).fate is Fate.DELIVERED
    assert until(lambda: len(listener.read) == 1, 5)
    assert (listener.complaints, listener.read[0].tags) == ([], SHOWN)


def test_where_dogstatsd_is_switched_off_the_api_is_told(
    server: DatadogServer, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_DOGSTATSD_DISABLE", "true")
    environ = {"DD_DOGSTATSD_DISABLE": "true", "DD_DOGSTATSD_URL": listener.url, "DATADOG_HOST": server.url}
    assert make_service(DatadogOptions(), {**environ, "DD_API_KEY": KEY}).send(batch(), 2.0).fate is Fate.DELIVERED
    assert len(server.points) == 3
    with pytest.raises(ConfigError, match="DD_DOGSTATSD_DISABLE"):
        make_service(DatadogOptions(), environ)


@pytest.mark.parametrize(
    "url", ["udp://[", "udp://127.0.0.1:no", "udp://127.0.0.1:99999", "udp://", "http://127.0.0.1:8125", "x", "unix://"]
)
def test_an_agents_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(ConfigError, match="DD_DOGSTATSD_URL is no address"):
        make_service(DatadogOptions(), {"DD_DOGSTATSD_URL": url})


@pytest.mark.parametrize("key", ["abc\ndef", "abc\r\nX-A: b", "schlüssel", "a\x1bb"])
def test_a_key_that_is_none_is_said_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="DD_API_KEY") as raised:
        make_service(DatadogOptions(), {"DD_API_KEY": key})
    assert key not in str(raised.value)


@pytest.mark.parametrize("count", [1, 4])
def test_an_agent_that_is_not_there_is_noticed_and_one_that_comes_back_is_told(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    service = agent(monkeypatch, listener.url)
    assert service.send(batch(), 1.0).fate is Fate.DELIVERED
    assert until(lambda: len(listener.read) == 3, 5)
    listener.stop()
    assert service.send(batch()[:count], 1.0).fate is Fate.LATER
    assert service.send(batch()[:count], 1.0).fate is Fate.LATER
    with listening(listener.path, listener.port) as again:
        assert service.send(batch(), 1.0).fate is Fate.DELIVERED
        assert until(lambda: len(again.read) == 3, 5)
