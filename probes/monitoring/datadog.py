"""Datadog: through an agent's DogStatsD where the environment names one, else its HTTP API (series, version 2).

Each sample goes with its own second. A series keeps one value a second, so that what is sent twice counts once.
"""

from __future__ import annotations

import logging
import socket
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from probes.config.monitoring import DatadogOptions
from probes.delivery import UnansweredError, keeps_a_secret, key_of, seconds_asked
from probes.errors import ConfigError
from probes.monitoring.base import DELIVERED, Fate, Said, Service, not_taken
from probes.monitoring.samples import Sample, by_second

LONGEST_PAST_S = 3500.0
"""The API takes no point that is older than an hour."""

UNREADABLE_WAIT_S = 60.0
"""How long to leave an API alone that does not take our key."""

_TYPES = {"count": 1, "gauge": 3}
_MESSAGES = {
    401: "it does not take the key: is DD_API_KEY right?",
    403: "it does not take the key: is DD_API_KEY of this site?",
    429: "it asks to be left alone",
}


def make_service(options: DatadogOptions, environ: Mapping[str, str]) -> Service:
    """The way that the environment names, which is the agent unless the package is told to leave it alone.

    Raises ConfigError where address or key is none, or the API's address would show the key to others.
    """
    for logger in ("datadog.api", "datadog.dogstatsd"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)  # the outbox says what is wrong, once
    off = environ.get("DD_DOGSTATSD_DISABLE") in {"True", "true", "yes", "1"}  # as the package reads it
    if not off and (environ.get("DD_DOGSTATSD_URL") or environ.get("DD_AGENT_HOST")):
        return Agent(options, environ)
    if off and not environ.get("DD_API_KEY", "").strip():
        raise ConfigError("datadog: DD_DOGSTATSD_DISABLE forbids the agent, and there is no DD_API_KEY.")
    url = api_url(options, environ)
    if not keeps_a_secret(url):
        raise ConfigError("DATADOG_HOST: the key goes over https only.", hint="Write https://HOST.")
    return Api(options, key_of(environ, "DD_API_KEY"), url)


def api_url(options: DatadogOptions, environ: Mapping[str, str]) -> str:
    """Where its HTTP API is."""
    return environ.get("DATADOG_HOST", "") or f"https://api.{options.site}"


def _tags(sample: Sample, options: DatadogOptions) -> list[str]:
    return [f"{name}:{value}" for name, value in (*sample.tags, *options.tags.items()) if value]


class Agent:
    """DogStatsD. Over UDP nobody answers: what is known is whether the machine has let a datagram go."""

    name = "datadog"
    longest_past_s = LONGEST_PAST_S

    def __init__(self, options: DatadogOptions, environ: Mapping[str, str]) -> None:
        from datadog.dogstatsd.base import DogStatsd

        if (url := environ.get("DD_DOGSTATSD_URL", "")) and not _is_agents(url):
            raise ConfigError("DD_DOGSTATSD_URL is no address.", hint="Write udp://HOST:8125 or unix:///PATH.")
        self._options = options
        try:
            # its counts of what could not be sent come with its telemetry, which is never due
            self._statsd = DogStatsd(telemetry_min_flush_interval=10**12, socket_timeout=1.0)
        except ValueError:
            raise ConfigError("datadog: one of the variables DD_… is no number: look at DD_TELEMETRY_PORT.") from None
        self._statsd.constant_tags = []  # what DD_ENV, DD_VERSION and their like say is of the probe, not of the target

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One datagram a sample."""
        self._statsd.set_socket_timeout(timeout_s)
        try:
            return self._send(batch)
        finally:
            self._statsd.close_socket()

    def _send(self, batch: Sequence[Sample]) -> Said:
        before = self._statsd.packets_dropped
        for sample in by_second(batch):
            send = self._statsd.count_with_timestamp if sample.kind == "count" else self._statsd.gauge_with_timestamp
            name = self._options.prefix + sample.name
            send(name, sample.value, timestamp=int(sample.at), tags=_tags(sample, self._options))
            if self._statsd.packets_dropped > before:
                return Said(Fate.LATER, "no agent takes its datagrams")
        return Said(Fate.LATER, "no agent listens there") if self._refused() else DELIVERED

    def _refused(self) -> bool:
        """Whether the last datagram came back: the loopback says so at once."""
        sent_by = self._statsd.socket
        return sent_by is not None and sent_by.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        """An agent is asked nothing."""
        return None


def _is_agents(url: str) -> bool:
    """Whether the package would go there, and not to where an agent is by default."""
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "udp":
            return bool(parts.hostname and parts.port)
    except ValueError:
        return False
    return parts.scheme in {"unix", "unixgram", "unixstream"} and bool(parts.path)


class Api:
    """The HTTP API. The client's settings are the package's own globals, so there is one in a process."""

    name = "datadog"
    longest_past_s = LONGEST_PAST_S

    def __init__(self, options: DatadogOptions, key: str, url: str) -> None:
        self.url = url
        self._options, self._key = options, key

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One request."""
        import datadog

        from probes.monitoring.datadog_wire import Client

        datadog.initialize(
            api_key=self._key, api_host=self.url, host_name="smokeprobe", mute=False, return_raw_response=True,
            timeout=timeout_s,
        )  # fmt: skip
        try:
            _, answer = Client.submit("POST", "series", api_version="v2", body=self._body(batch), compress_payload=True)
        except UnansweredError as problem:
            return Said(Fate.LATER, str(problem))
        return _heard(answer.status_code, answer.headers)

    def _body(self, batch: Sequence[Sample]) -> dict[str, Any]:
        series: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, Any]] = {}
        for sample in by_second(batch):
            entry = series.setdefault((sample.name, sample.tags), self._series(sample))
            entry["points"].append({"timestamp": int(sample.at), "value": sample.value})
        return {"series": list(series.values())}

    def _series(self, sample: Sample) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "metric": self._options.prefix + sample.name,
            "type": _TYPES[sample.kind],
            "points": [],
            "tags": _tags(sample, self._options),
        }
        if sample.unit:
            entry["unit"] = sample.unit
        if sample.kind == "count":
            entry["interval"] = 1
        return entry

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        """Asking it takes another key, and minutes."""
        return None


def _heard(status: int, headers: Mapping[str, str]) -> Said:
    if status == 202:
        return DELIVERED
    wait_s = UNREADABLE_WAIT_S if status in {401, 403} else seconds_asked(headers.get("x-ratelimit-reset", ""))
    return not_taken(status, _MESSAGES, wait_s)
