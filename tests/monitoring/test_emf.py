"""Inside Lambda: lines on standard output that are exactly what CloudWatch reads from a log."""

from __future__ import annotations

import time

import jsonschema
import pytest

from probes.config.metrics import METRICS
from probes.config.monitoring import CloudWatchOptions
from probes.monitoring.base import Fate
from probes.monitoring.cloudwatch import Api, Lines, make_service
from probes.monitoring.samples import Sample
from tests.monitoring.emf import read_line

LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "smoke", "AWS_REGION": "eu-west-1"}
TAGS = (("env", "production"), ("region", "eu-west-1"), ("check", "api"), ("version", "1.2.3"), ("mode", "run"))
OTHER = (("env", "production"), ("region", "eu-west-1"), ("check", "_run"), ("version", ""), ("mode", "run"))


def sample(name: str, value: float, at: float, tags: tuple[tuple[str, str], ...] = TAGS) -> Sample:
    metric = METRICS[name]
    return Sample(name, value, metric.kind, metric.unit, tags, at)


def test_a_line_for_each_second_and_set_of_tags(capsys: pytest.CaptureFixture[str]) -> None:
    options = CloudWatchOptions(namespace="Shop", prefix="probe.", tags={"service": "shop"})
    now = float(int(time.time()))
    sent = [
        sample("smoke_test.api_response", 2.0, now),
        sample("smoke_test.api_response", 7.0, now + 0.9),
        sample("smoke_test.success", 1.0, now),
        sample("smoke_test.flaky", 1.0, now + 1),
        sample("smoke_test.duration", 3.5, now, OTHER),
    ]
    assert make_service(options, LAMBDA).send(sent, 1.0).fate is Fate.DELIVERED
    first, second, third = map(read_line, capsys.readouterr().out.splitlines())
    (directive,) = first["_aws"]["CloudWatchMetrics"]
    assert first["_aws"]["Timestamp"] == int(now) * 1000
    assert directive == {
        "Namespace": "Shop",
        "Dimensions": [["env", "region", "check", "mode", "service"]],
        "Metrics": [
            {"Name": "probe.smoke_test.api_response", "Unit": "Milliseconds", "StorageResolution": 60},
            {"Name": "probe.smoke_test.success", "Unit": "None", "StorageResolution": 60},
        ],
    }
    assert {name: value for name, value in first.items() if name != "_aws"} == {
        "env": "production", "region": "eu-west-1", "check": "api", "mode": "run", "service": "shop",
        "version": "1.2.3",  # to be read in the log; no dimension
        "probe.smoke_test.api_response": [2.0, 7.0], "probe.smoke_test.success": 1.0,
    }  # fmt: skip
    assert second["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"] == "Count"
    assert (second["_aws"]["Timestamp"], second["probe.smoke_test.flaky"]) == (int(now + 1) * 1000, 1.0)
    assert (third["check"], third["probe.smoke_test.duration"], "version" in third) == ("_run", 3.5, False)


def test_no_document_holds_more_than_it_may(capsys: pytest.CaptureFixture[str]) -> None:
    now = float(int(time.time()))
    every = [sample(name, 1.0, now) for name in METRICS]
    many = [sample("smoke_test.api_response", float(n), now) for n in range(250)]
    Lines(CloudWatchOptions()).send(every + many, 1.0)
    documents = [read_line(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(document["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for document in documents] == [len(METRICS), 1, 1]
    assert [len(document["smoke_test.api_response"]) for document in documents] == [100, 100, 51]
    assert len(METRICS) <= 100


def test_where_lines_would_end_up_elsewhere_the_api_is_used() -> None:
    assert isinstance(make_service(CloudWatchOptions(region="eu-west-1"), LAMBDA), Lines)
    assert isinstance(make_service(CloudWatchOptions(region="us-east-1"), LAMBDA), Api)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Timestamp": 1', '"Timestamp": "1"'),
        ('"Unit": "None"', '"Unit": "Parsecs"'),
        ('"Namespace": "N"', '"Namespace": ""'),
        ('[["env"]]', "[]"),
        ('"Name": "a", ', ""),
    ],
)
def test_the_schema_would_complain(old: str, new: str) -> None:
    right = (
        '{"_aws": {"Timestamp": 1, "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["env"]], '
        '"Metrics": [{"Name": "a", "Unit": "None"}]}]}, "env": "x", "a": 1.0}'
    )
    assert read_line(right)["a"] == 1.0
    with pytest.raises(jsonschema.ValidationError):
        read_line(right.replace(old, new))
    with pytest.raises(KeyError):
        read_line(right.replace('"a": 1.0', '"b": 1.0'))
