"""CloudWatch's API: what it is told, strictly and by reading back, and what each of its answers means."""

from __future__ import annotations

import os
import socket
import time

import pytest

from probes.config.metrics import METRICS
from probes.config.monitoring import CloudWatchOptions
from probes.errors import ConfigError
from probes.monitoring.base import Fate, Service
from probes.monitoring.cloudwatch import Api, make_service
from probes.monitoring.samples import Sample
from tests.monitoring.cloudwatch_server import (
    KEY_ID,
    REGION,
    SECRET,
    TOKEN,
    CloudWatchServer,
    Mode,
    cloudwatch_server,
    tags_of,
    wrong_with,
)

TAGS = (("env", "local"), ("region", "eu-west-1"), ("check", "api"), ("version", "1.2.3"), ("mode", "run"))
SHOWN = {"env": "local", "region": "eu-west-1", "check": "api", "mode": "run", "service": "shop"}


def sample(name: str, value: float, at: float, tags: tuple[tuple[str, str], ...] = TAGS) -> Sample:
    metric = METRICS[name]
    return Sample(name, value, metric.kind, metric.unit, tags, at)


def batch() -> list[Sample]:
    now = float(int(time.time()))
    return [
        sample("smoke_test.duration", 1.5, now - 100),
        sample("smoke_test.api_response", 2.0, now),
        sample("smoke_test.api_response", 7.0, now + 0.5),
        sample("smoke_test.budget_used", 3.0, now),
        sample("smoke_test.certificate_days", 80.0, now),
        sample("smoke_test.success", 0.0, now),
        sample("smoke_test.flaky", 1.0, now),
        sample("smoke_test.flaky", 1.0, now),
    ]


def api(prefix: str = "", namespace: str = "Smokeprobe") -> Service:
    return make_service(CloudWatchOptions(tags={"service": "shop"}, prefix=prefix, namespace=namespace), os.environ)


def test_it_is_told_each_value_with_its_own_second(cloudwatch: CloudWatchServer) -> None:
    sent = batch()
    assert api("probe.", "Shop/Probes").send(sent, 20.0).fate is Fate.DELIVERED
    assert (cloudwatch.complaints, cloudwatch.requests) == ([], 1)
    now = int(sent[1].at)
    assert {datum["MetricName"].removeprefix("probe.smoke_test."): datum for datum in cloudwatch.put}.keys() == {
        "duration", "api_response", "budget_used", "certificate_days", "success", "flaky"
    }  # fmt: skip
    assert [(datum["Timestamp"], datum["Values"], datum["Unit"]) for datum in cloudwatch.put] == [
        (now - 100, [1.5], "Seconds"),
        (now, [2.0, 7.0], "Milliseconds"),
        (now, [3.0], "Percent"),
        (now, [80.0], "None"),
        (now, [0.0], "None"),
        (now, [2.0], "Count"),
    ]
    assert all(tags_of(datum) == SHOWN for datum in cloudwatch.put)  # an alarm outlives a release: no version


def test_what_was_told_can_be_read_back(cloudwatch: CloudWatchServer) -> None:
    sent = batch()
    api("probe.", "Shop/Probes").send(sent, 20.0)
    client = cloudwatch.client()
    found = client.list_metrics(Namespace="Shop/Probes")["Metrics"]
    assert len({metric["MetricName"] for metric in found}) == 6
    assert all(tags_of(metric) == SHOWN for metric in found)
    times = cloudwatch.kept("probe.smoke_test.api_response", sent[1].at, "Shop/Probes", **SHOWN)
    assert times == [4.5, 2.0, 7.0, 2.0]
    assert cloudwatch.kept("probe.smoke_test.flaky", sent[1].at, "Shop/Probes", **SHOWN) == [2.0, 2.0, 2.0, 1.0]
    assert cloudwatch.kept("probe.smoke_test.duration", sent[1].at, "Shop/Probes", **SHOWN) == []
    assert cloudwatch.kept("probe.smoke_test.duration", sent[0].at, "Shop/Probes", **SHOWN) == [1.5, 1.5, 1.5, 1.0]


def test_a_tag_without_a_value_is_none(cloudwatch: CloudWatchServer) -> None:
    tags = (("env", "local"), ("region", ""), ("check", "api"), ("version", ""), ("mode", "run"))
    api().send([sample("smoke_test.success", 1.0, time.time(), tags)], 20.0)
    assert cloudwatch.complaints == []
    assert tags_of(cloudwatch.put[0]) == {"env": "local", "check": "api", "mode": "run", "service": "shop"}


def test_as_much_as_can_be_at_once_fits(cloudwatch: CloudWatchServer) -> None:
    tags = (("env", "e" * 40), ("region", "r" * 40), ("check", "c" * 40), ("version", "v" * 40), ("mode", "continuous"))
    extra = {f"{n}".rjust(40, "t"): "x" * 100 for n in range(10)}
    now = time.time()
    several = [sample("smoke_test.probe.unacknowledged", n / 7, now - n, tags) for n in range(900)]
    at_once = [sample("smoke_test.api_response", n / 7, now, tags) for n in range(950)]
    options = CloudWatchOptions(prefix="p" * 99 + ".").model_copy(update={"tags": extra})  # the file's and its own
    service = Api(options, REGION)
    assert service.send(several + at_once, 5.0).fate is Fate.DELIVERED
    assert cloudwatch.complaints == []
    assert cloudwatch.requests == 3
    assert sum(len(datum["Values"]) for datum in cloudwatch.put) == 1850


@pytest.mark.parametrize(
    ("mode", "fate", "why", "wait_s"),
    [
        ("denied", Fate.LATER, "HTTP 403, AccessDenied: the credentials are not valid", 60.0),
        ("expired", Fate.LATER, "HTTP 403, ExpiredToken", 60.0),
        ("unknown", Fate.LATER, "HTTP 400, UnrecognizedClientException: the credentials are not valid", 60.0),
        ("limited", Fate.LATER, "HTTP 400, LimitExceededException: it takes nothing now", 0.0),
        ("throttled", Fate.LATER, "HTTP 400, Throttling: it takes nothing now", 0.0),
        ("busy", Fate.LATER, "HTTP 429, TooManyRequestsException: it takes nothing now", 0.0),
        ("broken", Fate.LATER, "HTTP 500, InternalFailure: it takes nothing now", 0.0),
        ("too large", Fate.REFUSED, "HTTP 413, RequestEntityTooLargeException: what was sent is too large", 0.0),
        ("wrong", Fate.REFUSED, "HTTP 400, InvalidParameterValue: it cannot read what was sent", 0.0),
        ("cut", Fate.LATER, "cut off", 0.0),
        ("take and cut", Fate.LATER, "cut off", 0.0),
        ("hang", Fate.LATER, "in time", 0.0),
    ],
)
def test_every_answer_has_its_meaning(
    cloudwatch: CloudWatchServer, mode: Mode, fate: Fate, why: str, wait_s: float
) -> None:
    cloudwatch.mode = mode
    service = api()
    said = service.send(batch(), 0.3 if mode == "hang" else 5.0)
    assert (said.fate, said.wait_s) == (fate, wait_s)
    assert why in said.why
    assert cloudwatch.requests == 1  # trying again is the outbox's
    assert not {word for word in (KEY_ID, SECRET, TOKEN, "says it") if word in said.why}
    cloudwatch.mode = "up"
    assert service.send(batch(), 20.0).fate is Fate.DELIVERED


def test_what_was_taken_without_a_word_is_sent_again_and_leaves_its_average(cloudwatch: CloudWatchServer) -> None:
    sent = batch()
    cloudwatch.mode = "take and cut"
    assert api().send(sent, 1.0).fate is Fate.LATER
    cloudwatch.mode = "up"
    assert api().send(sent, 1.0).fate is Fate.DELIVERED
    assert cloudwatch.kept("smoke_test.api_response", sent[1].at, **SHOWN) == [4.5, 2.0, 7.0, 4.0]
    assert cloudwatch.kept("smoke_test.success", sent[1].at, **SHOWN) == [0.0, 0.0, 0.0, 2.0]


def test_nobody_there_is_no_connection(cloudwatch: CloudWatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = api().send(batch(), 1.0)
    assert (said.fate, said.why) == (Fate.LATER, "no connection, or it was cut off")
    assert cloudwatch.requests == 0


def test_credentials_that_come_late_or_are_renewed_are_found(
    cloudwatch: CloudWatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    service = api()
    said = service.send(batch(), 1.0)
    assert (said.fate, said.wait_s) == (Fate.LATER, 60.0)
    assert said.why == "boto3 cannot ask it: NoCredentialsError"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOUTDATED00000000")
    cloudwatch.mode = "expired"
    assert service.send(batch(), 1.0).fate is Fate.LATER
    cloudwatch.mode = "up"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    assert service.send(batch(), 1.0).fate is Fate.DELIVERED
    assert cloudwatch.complaints == []


def test_metadata_that_does_not_answer_is_hardly_waited_for(
    cloudwatch: CloudWatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        assert api().send(batch(), 60.0).why == "boto3 cannot ask it: NoCredentialsError"
    assert 0.9 < time.monotonic() - begun < 20.0  # a second for each of two questions, and what a busy machine takes
    assert cloudwatch.requests == 0


def test_a_region_is_needed_and_the_files_goes_first(
    cloudwatch: CloudWatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    make_service(CloudWatchOptions(region=REGION), os.environ).send(batch(), 1.0)
    assert cloudwatch.complaints == []  # it was signed for that region
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ConfigError, match="in which region"):
        api()
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)  # where boto3 itself looks
    assert api().send(batch(), 1.0).fate is Fate.DELIVERED


def test_a_profile_that_is_not_there_is_said(cloudwatch: CloudWatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with pytest.raises(ConfigError, match=r"The config profile \(mine\) could not be found"):
        api()
    assert cloudwatch.requests == 0


@pytest.mark.parametrize("url", ["http://monitoring.example", "https://", "ftp://127.0.0.1"])
def test_a_sessions_token_goes_nowhere_where_it_could_be_read(
    cloudwatch: CloudWatchServer, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(ConfigError, match="over https only"):
        api()
    assert cloudwatch.requests == 0


def test_a_sample_is_read_back_where_that_is_allowed(cloudwatch: CloudWatchServer) -> None:
    service = api()
    sent = sample("smoke_test.test", 4711.0, time.time())
    assert service.read_back(sent, 0.1) is None
    service.send([sent], 1.0)
    assert service.read_back(sent, 1.0) is True
    cloudwatch.mode = "denied"
    assert service.read_back(sent, 1.0) is None


@pytest.mark.parametrize(
    "spoil",
    [
        {"Unit": "Parsecs"},
        {"StorageResolution": 30},
        {"Values": []},
        {"Values": [float("nan")]},
        {"Timestamp": time.time() - 15 * 86400},
        {"Timestamp": time.time() + 3 * 3600},
        {"Dimensions": [{"Name": "env", "Value": ""}]},
        {"Dimensions": [{"Name": "env", "Value": "a"}] * 2},
        {"Dimensions": [{"Name": f"d{n}", "Value": "a"} for n in range(31)]},
        {"MetricName": ""},
        {"Value": 1.0},
    ],
)
def test_the_server_would_complain(spoil: dict[str, object]) -> None:
    right = {
        "MetricName": "a", "Dimensions": [], "Timestamp": time.time(), "Values": [1.0], "Unit": "None",
        "StorageResolution": 60,
    }  # fmt: skip
    assert wrong_with({"Namespace": "N", "MetricData": [right]}) == []
    assert wrong_with({"Namespace": "N", "MetricData": [{**right, **spoil}]}) != []
    assert wrong_with({"Namespace": "N", "MetricData": [right] * 1001}) != []


def test_a_server_that_comes_back_on_its_port_is_told(
    cloudwatch: CloudWatchServer, moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloudwatch_server(moto) as once:
        monkeypatch.setenv("AWS_ENDPOINT_URL", once.url)
        service = api()
        assert service.send(batch(), 1.0).fate is Fate.DELIVERED
        port = once.server_address[1]
    assert service.send(batch(), 1.0).fate is Fate.LATER
    with cloudwatch_server(moto, port) as again:
        assert service.send(batch(), 1.0).fate is Fate.DELIVERED
        assert again.complaints == []
    assert cloudwatch.requests == 0
