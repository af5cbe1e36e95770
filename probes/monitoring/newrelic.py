"""New Relic, in two ways at once, each with an outbox of its own: custom events, and dimensional metrics.

Events go to the collector that New Relic's agents report to: of one check at one moment there is one event of type
`SmokeTest` with all values as attributes. Metrics go to the endpoint that the agent has for dimensional ones, and keep
their names. Tags are attributes of both, and each value has its own time.

The agent itself does not run: its harvest tells nobody what was lost. Of its package we use the protocol and the HTTP
client, so that each batch has an answer; nothing is instrumented, no log is forwarded, no thread runs, nothing is to be
started anew after a fork, and of the machine only the process's number is told. An answer says that a batch has
arrived: what New Relic then finds wrong with it, it writes down as an `NrIntegrationError`. It does not know a batch
again: what was cut off after it had arrived is there twice.
"""

from __future__ import annotations

import copy
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from probes.config.monitoring import NewRelicOptions
from probes.errors import ConfigError
from probes.monitoring.base import DELIVERED, Fate, Said
from probes.monitoring.newrelic_hosts import Address, hosts_of, region_of
from probes.monitoring.nrql import Asker
from probes.monitoring.samples import Sample

try:
    from newrelic.common.agent_http import ApplicationModeClient
    from newrelic.core.agent_protocol import AgentProtocol, OtlpProtocol
    from newrelic.core.config import global_settings
    from newrelic.network.exceptions import NetworkInterfaceException
    from newrelic.packages.urllib3 import exceptions as http
except ValueError:  # it reads the whole environment as it is imported
    raise ConfigError(
        "The package newrelic cannot read the environment: a variable NEW_RELIC_… is no number.",
        hint="Look at NEW_RELIC_PORT and NEW_RELIC_OTLP_PORT.",
    ) from None

APP = "smokeprobe"
EVENT = "SmokeTest"
"""The type of the events."""

UNREADABLE_WAIT_S = 60.0
"""How long to leave a service alone that does not take our key."""

DISMISSED_WAIT_S = 600.0
"""How long to leave a collector alone that has told us to report no more."""

COMPRESSED_FROM = 1024
"""Bytes."""

MOST_EVENTS = 30_000
"""So many a minute we ask leave for: far more than ever come."""

_UNITS = {"": "1", "second": "s", "millisecond": "ms", "day": "d", "percent": "%", "fraction": "1"}
_AGAIN = frozenset({401, 409})
_WHY = {
    401: "it does not take the key: is NEW_RELIC_LICENSE_KEY a licence key of this region?",
    403: "it does not take the key: is NEW_RELIC_LICENSE_KEY a licence key of this region?",
    407: "a proxy in between wants another login",
    409: "it wants us to register anew",
    410: "it wants to hear no more of us: ask New Relic why",
    429: "it asks to be left alone",
}
_REFUSED = {400: "it cannot read what was sent", 413: "what was sent is too large"}


def make_service(options: NewRelicOptions, environ: Mapping[str, str]) -> tuple[Events, Metrics]:
    """Both ways. Raises ConfigError where an address is none, or would show the key to others."""
    logging.getLogger("newrelic").setLevel(logging.CRITICAL)  # it shows the key; the outbox says what is wrong
    key = environ["NEW_RELIC_LICENSE_KEY"].strip()
    region = region_of(key, options)
    settings, asker = _settings(key, environ), Asker.of(environ, eu=region.startswith("eu"))
    collector, metrics = hosts_of(region, environ)
    return Events(options, _at(settings, collector), asker), Metrics(options, _at(settings, metrics), asker)


def _settings(key: str, environ: Mapping[str, str]) -> Any:
    """What the package has read from the environment (a proxy, authorities), less what tells of the machine."""
    settings = copy.deepcopy(global_settings())
    settings.license_key = key
    settings.ca_bundle_path = environ.get("NEW_RELIC_CA_BUNDLE_PATH", "") or None
    settings.audit_log_file = None
    settings.debug.disable_certificate_validation = False
    settings.agent_limits.data_compression_threshold = COMPRESSED_FROM
    settings.event_harvest_config.harvest_limits.custom_event_data = MOST_EVENTS
    for name in vars(settings.utilization):
        if name.startswith("detect_"):
            setattr(settings.utilization, name, False)
    return settings


def _at(settings: Any, address: Address) -> Any:
    found = copy.deepcopy(settings)
    found.host, found.port = address
    found.otlp_port = found.port
    return found


class _NotTakenError(Exception):
    """A batch was not taken; `status` is 0 where nothing was answered."""

    def __init__(self, said: Said, status: int = 0) -> None:
        super().__init__(said.why)
        self.said, self.status = said, status


class _Client(ApplicationModeClient):  # type: ignore[misc] # the package has no types
    """The agent's own, which says of a failure what it was."""

    def wait(self, timeout_s: float) -> None:
        """How long connections made from now on may take."""
        self._connection_kwargs["timeout"] = timeout_s

    def send_request(self, *arguments: Any, **named: Any) -> tuple[int, bytes]:
        """As there, but raises _NotTakenError for any answer that is none of success."""
        try:
            status, data = super().send_request(*arguments, **named)
        except NetworkInterfaceException as problem:
            raise _NotTakenError(Said(Fate.LATER, _why_unheard(problem.args[0]))) from None
        if not 200 <= status < 300:
            raise _NotTakenError(_heard(status), status)
        return status, data


def _why_unheard(problem: object) -> str:
    if isinstance(problem, http.TimeoutError) and not isinstance(problem, http.NewConnectionError):
        return "it does not answer in time"
    if isinstance(problem, http.SSLError):
        return "its certificate is not trusted, or it speaks no TLS"
    return "no connection, or it was cut off"


def _heard(status: int) -> Said:
    if status in _REFUSED:
        return Said(Fate.REFUSED, f"HTTP {status}: {_REFUSED[status]}")
    wait_s = DISMISSED_WAIT_S if status == 410 else UNREADABLE_WAIT_S if status in {401, 403, 407} else 0.0
    return Said(Fate.LATER, f"HTTP {status}: {_WHY.get(status, 'it takes nothing now')}", wait_s)


class _Protocol(AgentProtocol):  # type: ignore[misc] # the package has no types
    """The agent's own, which tells nothing of the machine."""

    @staticmethod
    def _connect_payload(*arguments: Any) -> tuple[dict[str, Any]]:
        (payload,) = AgentProtocol._connect_payload(*arguments)  # noqa: SLF001 - there is no other way to what it says
        nowhere = {"metadata_version": 5, "logical_processors": None, "total_ram_mib": None, "hostname": APP}
        return ({**payload, "host": APP, "display_host": APP, "metadata": {}, "utilization": nowhere},)


class Events:
    """Custom events. A process registers with its first batch, and again when the collector asks for it."""

    name = "newrelic"
    longest_past_s = 23 * 3600.0  # a day, less what clocks differ by

    def __init__(self, options: NewRelicOptions, settings: Any, asker: Asker | None) -> None:
        self.address: Address = (settings.host, settings.port)
        self._options, self._settings, self._asker = options, settings, asker
        self._registered: Any = None

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One request; three more where we are not registered yet."""
        events = _events(batch, self._options)
        new = self._registered is None
        try:
            try:
                self._hand_over(events, timeout_s)
            except _NotTakenError as problem:
                if new or problem.status not in _AGAIN:
                    raise
                self._hand_over(events, timeout_s)
        except _NotTakenError as problem:
            return problem.said
        except (ValueError, KeyError, TypeError):
            return Said(Fate.LATER, "its answer is none of a collector's: is something in between?")
        return DELIVERED

    def _hand_over(self, events: Sequence[Any], timeout_s: float) -> None:
        protocol = self._registered or self._register(timeout_s)
        protocol.client.wait(timeout_s)
        told = {"reservoir_size": len(events), "events_seen": len(events)}
        try:
            with protocol:
                protocol.send("custom_event_data", (protocol.configuration.agent_run_id, told, events))
        except _NotTakenError as problem:
            if problem.status in _AGAIN or problem.status == 410:
                self._registered = None
            raise

    def _register(self, timeout_s: float) -> Any:
        self._settings.agent_limits.data_collector_timeout = timeout_s
        protocol = _Protocol.connect(APP, [], [], self._settings, client_cls=_Client)
        said = protocol.configuration
        if not (said.collect_custom_events and said.custom_insights_events.enabled):
            raise _NotTakenError(Said(Fate.REFUSED, "the account takes no custom events"))
        self._registered = protocol
        return protocol

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Whether a query finds it, within `timeout_s`; None without the variables that it takes to ask."""
        name = self._options.prefix + sample.name
        return self._asker.has(EVENT, name, sample, timeout_s) if self._asker else None


class Metrics:
    """Dimensional metrics, in the JSON form of OTLP: gauges, and sums of what came since the last one."""

    name = "newrelic_metrics"
    longest_past_s = 47 * 3600.0  # two days, less what clocks differ by

    def __init__(self, options: NewRelicOptions, settings: Any, asker: Asker | None) -> None:
        self.address: Address = (settings.host, settings.port)
        self._options, self._settings, self._asker = options, settings, asker

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One request."""
        settings, body = self._settings, json.dumps(_otlp(batch, self._options)).encode()
        settings.agent_limits.data_collector_timeout = timeout_s
        headers = {"api-key": settings.license_key, "Content-Type": "application/json"}
        try:
            with OtlpProtocol(settings, host=settings.host, client_cls=_Client) as protocol:
                _, answer = protocol.client.send_request(path="/v1/metrics", headers=headers, payload=body)
            rejected = int(json.loads(answer or "{}").get("partialSuccess", {}).get("rejectedDataPoints", 0))
        except _NotTakenError as problem:
            return problem.said
        except (ValueError, TypeError, AttributeError):
            return Said(Fate.LATER, "its answer is no JSON: is something in between?")
        return Said(Fate.REFUSED, f"it has refused {rejected} of {len(batch)} values") if rejected else DELIVERED

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Whether a query finds it, within `timeout_s`; None without the variables that it takes to ask."""
        name = self._options.prefix + sample.name
        return self._asker.has("Metric", name, sample, timeout_s) if self._asker else None


def _attributes(sample: Sample, options: NewRelicOptions) -> dict[str, Any]:
    return {name: value for name, value in (*sample.tags, *options.tags.items()) if value}


def _events(batch: Sequence[Sample], options: NewRelicOptions) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What belongs together by its tags and its time in one event; the same metric again in another."""
    events: dict[object, tuple[dict[str, Any], dict[str, Any]]] = {}
    seen: Counter[object] = Counter()
    for sample in batch:
        at = round(sample.at * 1000)
        same = sample.name, sample.tags, at
        what = {"type": EVENT, "timestamp": at}
        _, attributes = events.setdefault((sample.tags, at, seen[same]), (what, _attributes(sample, options)))
        attributes[options.prefix + sample.name] = sample.value
        seen[same] += 1
    return list(events.values())


def _otlp(batch: Sequence[Sample], options: NewRelicOptions) -> dict[str, Any]:
    metrics: dict[str, dict[str, Any]] = {}
    for sample in batch:
        counts = sample.kind == "count"
        form = {"aggregationTemporality": 1, "isMonotonic": True} if counts else {}
        metric = {"name": options.prefix + sample.name, "unit": _UNITS[sample.unit]}
        entry = metrics.setdefault(sample.name, {**metric, "sum" if counts else "gauge": {**form, "dataPoints": []}})
        entry["sum" if counts else "gauge"]["dataPoints"].append(_point(sample, options))
    scope = {"scope": {"name": APP}, "metrics": list(metrics.values())}
    return {"resourceMetrics": [{"resource": {"attributes": _pairs({"service.name": APP})}, "scopeMetrics": [scope]}]}


def _point(sample: Sample, options: NewRelicOptions) -> dict[str, Any]:
    at = round(sample.at * 1000)
    point = {
        "timeUnixNano": f"{at}000000", "asDouble": sample.value, "attributes": _pairs(_attributes(sample, options)),
    }  # fmt: skip
    return {"startTimeUnixNano": f"{at - 1000}000000", **point} if sample.kind == "count" else point


def _pairs(attributes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in attributes.items()]
