"""OTLP: to an OpenTelemetry Collector, or whatever else takes metrics over HTTP as JSON.

Where to, and with which headers, is said by OpenTelemetry's own variables. Each sample goes with its own second, a
gauge as a gauge, a count as a sum since the second before. A series has one value a second, so that what is sent twice
is there once wherever a value takes the place of the one before; OTLP itself promises that nowhere.

Locust's own `--otel` is not used: it puts headers of its own on every request to the target, in place of our
`traceparent`, sends each request's URL away as a span, and waits up to 20 s for a collector that hangs at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from probes import __version__
from probes.config.metrics import METRICS
from probes.config.monitoring import OtlpOptions
from probes.config.otel import otlp_headers, otlp_setting, pairs
from probes.delivery import Answer, UnansweredError, ask, fits_a_header, is_url, keeps_a_secret
from probes.errors import ConfigError
from probes.monitoring.base import DELIVERED, Fate, Said, Service, not_taken
from probes.monitoring.otlp_json import UnreadableError, export_of, metrics_of, refused_of
from probes.monitoring.samples import Sample, by_second

LONGEST_PAST_S = 3500.0
"""A Collector takes any time; what stands behind it often none that is older than an hour."""

NO_ACCESS_WAIT_S = 60.0
"""How long to leave alone what does not let us in."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name, by RFC 9110."""

_MESSAGES = {
    401: "it does not let us in, by what OTEL_EXPORTER_OTLP_HEADERS says",
    403: "it does not let us in, by what OTEL_EXPORTER_OTLP_HEADERS says",
    404: "nothing takes metrics there",
    429: "it asks to be left alone",
}


def make_service(options: OtlpOptions, environ: Mapping[str, str]) -> Service:
    """As the environment says. Raises ConfigError for another protocol, no URL, or one that would show the headers."""
    url = environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "").strip()
    url = url or f"{environ['OTEL_EXPORTER_OTLP_ENDPOINT'].strip().rstrip('/')}/v1/metrics"
    headers = otlp_headers(environ)
    if otlp_setting(environ, "PROTOCOL") == "grpc":
        raise ConfigError(
            "otlp: OTEL_EXPORTER_OTLP_PROTOCOL says grpc, but metrics go over HTTP.",
            hint="Set OTEL_EXPORTER_OTLP_PROTOCOL=http/json, and a URL such as http://HOST:4318.",
        )
    if not is_url(url):
        raise ConfigError("otlp: OTEL_EXPORTER_OTLP_ENDPOINT is no URL.", hint="Write https://HOST:4318.")
    if headers and not keeps_a_secret(url):
        raise ConfigError("otlp: OTEL_EXPORTER_OTLP_HEADERS go over https only.", hint="Write https://HOST:4318.")
    for number, (name, value) in enumerate(headers.items(), 1):
        if not _TOKEN.fullmatch(name):
            raise ConfigError(f"OTEL_EXPORTER_OTLP_HEADERS: its {number}. name is no name of a header.")
        if not fits_a_header(value):
            raise ConfigError(f"OTEL_EXPORTER_OTLP_HEADERS: {name} has a line break, or a letter that no header has.")
    resource = {"service.name": "smokeprobe", **pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))}
    if name := environ.get("OTEL_SERVICE_NAME", "").strip():
        resource["service.name"] = name
    return Otlp(options, url, headers, resource)


class Otlp:
    """One request a batch."""

    name = "otlp"
    longest_past_s = LONGEST_PAST_S

    def __init__(self, options: OtlpOptions, url: str, headers: Mapping[str, str], resource: Mapping[str, str]) -> None:
        self._options, self._url, self._resource = options, url, resource
        self._headers = {"Content-Type": "application/json", **headers}

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One request."""
        try:
            answer = ask("POST", self._url, seconds=timeout_s, body=self._body(batch), headers=self._headers)
        except UnansweredError as problem:
            return Said(Fate.LATER, str(problem))
        return _heard(answer)

    def _body(self, batch: Sequence[Sample]) -> Mapping[str, Any]:
        found = metrics_of(by_second(batch), self._options)
        metrics = [{**metric, "description": METRICS[name].text} for name, metric in found.items()]
        return export_of({"name": "smokeprobe", "version": __version__}, self._resource, metrics)

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        """A Collector is asked nothing."""
        return None


def _heard(answer: Answer) -> Said:
    if answer.taken:
        return _taken(answer)
    wait_s = NO_ACCESS_WAIT_S if answer.status in {401, 403, 404} else answer.wait_s
    return not_taken(answer.status, _MESSAGES, wait_s)


def _taken(answer: Answer) -> Said:
    """All of it, unless it says otherwise; what it does not take now it never will."""
    try:
        refused = refused_of(answer.body)
    except UnreadableError:  # not every receiver has something to say
        refused = 0
    return Said(Fate.REFUSED, f"it refused {refused} values of a batch") if refused else DELIVERED
