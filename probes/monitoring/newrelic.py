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

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from probes.config.monitoring import NewRelicOptions
from probes.delivery import key_of
from probes.monitoring.base import DELIVERED, Fate, Said
from probes.monitoring.newrelic_hosts import Address, hosts_of, region_of
from probes.monitoring.newrelic_names import EVENTS
from probes.monitoring.newrelic_wire import (
    APP,
    Client,
    NotTakenError,
    Pools,
    Protocol,
    at,
    close,
    post_metrics,
    settings_of,
)
from probes.monitoring.nrql import Asker
from probes.monitoring.otlp_json import UnreadableError, export_of, metrics_of, refused_of, tagged
from probes.monitoring.samples import Sample

_AGAIN = frozenset({401, 409})
"""Answers after which to register anew, and try once more."""


def make_service(options: NewRelicOptions, environ: Mapping[str, str]) -> tuple[Events, Metrics]:
    """Both ways. Raises ConfigError where key or address is none, or the key would be shown to others."""
    key = key_of(environ, "NEW_RELIC_LICENSE_KEY")
    region = region_of(key, options)
    settings, asker = settings_of(key, environ), Asker.of(environ, eu=region.startswith("eu"))
    collector, metrics = hosts_of(region, environ)
    return Events(options, at(settings, collector), asker), Metrics(options, at(settings, metrics), asker)


class Events:
    """Custom events. A process registers with its first batch, and again when the collector asks for it."""

    name = "newrelic"
    longest_past_s = 23 * 3600.0  # a day, less what clocks differ by

    def __init__(self, options: NewRelicOptions, settings: Any, asker: Asker | None) -> None:
        self.address: Address = (settings.host, settings.port)
        self._options, self._settings, self._asker = options, settings, asker
        self._pools: Pools = {}
        self._registered: Any = None

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One request; three more where we are not registered yet."""
        events = _events(batch, self._options)
        new = self._registered is None
        try:
            try:
                self._hand_over(events, timeout_s)
            except NotTakenError as problem:
                if new or problem.status not in _AGAIN:
                    raise
                self._hand_over(events, timeout_s)
        except NotTakenError as problem:
            return problem.said
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ):  # it may say anything
            return Said(Fate.LATER, "its answer is none of a collector's: is something in between?")
        finally:
            close(self._pools)
        return DELIVERED

    def _hand_over(self, events: Sequence[Any], timeout_s: float) -> None:
        protocol = self._registered or self._register(timeout_s)
        protocol.client.wait(timeout_s)
        told = {"reservoir_size": len(events), "events_seen": len(events)}
        try:
            protocol.send("custom_event_data", (protocol.configuration.agent_run_id, told, events))
        except NotTakenError as problem:
            if problem.status in _AGAIN or problem.status == 410:
                self._registered = None
            raise

    def _register(self, timeout_s: float) -> Any:
        self._settings.agent_limits.data_collector_timeout = timeout_s
        protocol = Protocol.connect(APP, [], [], self._settings, client_cls=partial(Client, self._pools))
        said = protocol.configuration
        if not (said.collect_custom_events and said.custom_insights_events.enabled):
            raise NotTakenError(Said(Fate.REFUSED, "the account takes no custom events"))
        self._registered = protocol
        return protocol

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Whether a query finds it, within `timeout_s`; None without the variables that it takes to ask."""
        name = self._options.prefix + sample.name
        return self._asker.has(EVENTS, name, sample, timeout_s) if self._asker else None


class Metrics:
    """Dimensional metrics, in the JSON form of OTLP: gauges, and sums of what came since the last one."""

    name = "newrelic_metrics"
    longest_past_s = 47 * 3600.0  # two days, less what clocks differ by

    def __init__(self, options: NewRelicOptions, settings: Any, asker: Asker | None) -> None:
        self.address: Address = (settings.host, settings.port)
        self._options, self._settings, self._asker = options, settings, asker

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """One request."""
        metrics = metrics_of(batch, self._options).values()
        body = json.dumps(export_of({"name": APP}, {"service.name": APP}, metrics)).encode()
        try:
            rejected = refused_of(post_metrics(self._settings, body, timeout_s))
        except NotTakenError as problem:
            return problem.said
        except UnreadableError:
            return Said(Fate.LATER, "its answer is no JSON: is something in between?")
        return Said(Fate.REFUSED, f"it has refused {rejected} of {len(batch)} values") if rejected else DELIVERED

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Whether a query finds it, within `timeout_s`; None without the variables that it takes to ask."""
        name = self._options.prefix + sample.name
        return self._asker.has("Metric", name, sample, timeout_s) if self._asker else None


def _events(batch: Sequence[Sample], options: NewRelicOptions) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What belongs together by its tags and its time in one event; the same metric again in another."""
    events: dict[object, tuple[dict[str, Any], dict[str, Any]]] = {}
    seen: Counter[object] = Counter()
    for sample in batch:
        at = round(sample.at * 1000)
        same = sample.name, sample.tags, at
        what = {"type": EVENTS, "timestamp": at}
        _, attributes = events.setdefault((sample.tags, at, seen[same]), (what, tagged(sample, options)))
        attributes[options.prefix + sample.name] = sample.value
        seen[same] += 1
    return list(events.values())
