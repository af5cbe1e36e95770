"""What is rendered of the golden dashboard, as files; run as a module it writes them anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from probes.config.dashboards import load_dashboards
from probes.config.monitoring import CloudWatchOptions, DatadogOptions, ServiceOptions
from probes.monitoring.as_code import dashboards_cloudwatch, dashboards_datadog, dashboards_newrelic

FOLDER = Path(__file__).with_name("golden")
COMMON: Mapping[str, Any] = {"prefix": "my.", "tags": {"service": "shop", "team_a": "x/y"}}
NAMES = {"region": ("eu-west-1", "us-east-1"), "check": ("health", "api")}


def datadog() -> Any:
    (one,) = dashboards_datadog.dashboards(load_dashboards(FOLDER), "staging", DatadogOptions(**COMMON))
    return one.body


def newrelic() -> Any:
    (one,) = dashboards_newrelic.dashboards(load_dashboards(FOLDER), "staging", ServiceOptions(**COMMON), 1234567)
    return one.body


def cloudwatch() -> Any:
    """With the dashboard's body as JSON in its own right, so that it can be read."""
    options = CloudWatchOptions(**COMMON, namespace="My/Shop")
    searched = dashboards_cloudwatch.Searched("staging", options.namespace, options, NAMES)
    (one,) = dashboards_cloudwatch.dashboards(load_dashboards(FOLDER), searched)
    properties = dict(one.body["Properties"])
    return {
        **one.body,
        "Properties": {**properties, "DashboardBody": json.loads(properties["DashboardBody"]["Fn::Sub"])},
    }


RENDERED: Mapping[str, Callable[[], Any]] = {"datadog": datadog, "newrelic": newrelic, "cloudwatch": cloudwatch}


def text_of(service: str) -> str:
    return json.dumps(RENDERED[service](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in RENDERED:
        (FOLDER / f"{name}.json").write_text(text_of(name))
