"""Prometheus: a master has the last value of each series for whoever scrapes it; a run pushes its own to a Pushgateway.

Neither takes a time of day with a value, so that what cannot be handed over now never is.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import gevent
import requests
from prometheus_client import CollectorRegistry, delete_from_gateway, push_to_gateway
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import basic_auth_handler, default_handler
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from probes.config.metrics import METRICS
from probes.config.monitoring import PrometheusOptions
from probes.delivery import is_url
from probes.errors import ConfigError
from probes.monitoring.base import DELIVERED, Fate, Said
from probes.monitoring.prometheus_names import SAMPLED_AT, known_as
from probes.monitoring.samples import Sample, Tags, by_second

GROUP = ("env", "region", "check")
"""What a push replaces: the last one of the same check in the same region, and no other."""


def make_service(options: PrometheusOptions, environ: Mapping[str, str]) -> Pushgateway:
    """The Pushgateway that the environment names. Raises ConfigError where its URL cannot be used."""
    url = environ["SMOKEPROBE_PUSHGATEWAY_URL"].strip()
    if not is_url(url):
        raise ConfigError("SMOKEPROBE_PUSHGATEWAY_URL is no URL.", hint="Write https://host:9091.")
    return Pushgateway(options, url)


class _Family:
    """One metric with its series; `labels` are all that there may be."""

    def __init__(self, options: PrometheusOptions, name: str, labels: Sequence[str], *, totals: bool) -> None:
        metric = METRICS[name]
        text = f"{metric.text}{f' ({metric.unit}s)' if metric.unit else ''}"
        counts = totals and metric.kind == "count"
        self._labels = labels
        family = CounterMetricFamily if counts else GaugeMetricFamily
        self.metric = family(known_as(name, options), text, labels=labels)

    def add(self, tags: Mapping[str, str], value: float) -> None:
        self.metric.add_metric([tags.get(label, "") for label in self._labels], value)


def _sampled_at(options: PrometheusOptions, samples: Iterable[Sample], own: Sequence[str]) -> GaugeMetricFamily:
    """When each value was measured. Without it nobody could tell a value that has come again from one that stays."""
    labels = (*own, "mode", *options.tags)
    text = "When a value was measured (seconds)"
    family = GaugeMetricFamily(known_as(SAMPLED_AT, options), text, labels=("metric", *labels))
    for sample in samples:
        tags = {**dict(sample.tags), **options.tags}
        family.add_metric([known_as(sample.name, options), *(tags[label] for label in labels)], sample.at)
    return family


class Shelf(Collector):
    """What a master shows to whoever scrapes it: of each series the last value, of counts the total since its start.

    A new version of the target takes the place of the one before.
    """

    name = "prometheus"
    longest_past_s = 0.0

    def __init__(self, options: PrometheusOptions) -> None:
        self._options = options
        self._last: dict[tuple[str, Tags], Sample] = {}
        self._totals: dict[tuple[str, Tags], float] = {}

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:  # noqa: ARG002 - the protocol's
        """Put samples on the shelf."""
        for sample in by_second(batch):
            key = sample.name, tuple(tag for tag in sample.tags if tag[0] != "version")
            self._last[key] = sample
            self._totals[key] = self._totals.get(key, 0.0) + sample.value
        return DELIVERED

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:  # noqa: ARG002 - the protocol's
        """Whether it lies there."""
        return any(found.name == sample.name for found in self._last.values())

    def collect(self) -> Iterator[Metric]:
        """All of it, as prometheus-client wants it."""
        labels = (*GROUP, "version", "mode", *self._options.tags)
        families: dict[str, _Family] = {}
        for key, sample in self._last.items():
            if sample.name not in families:
                families[sample.name] = _Family(self._options, sample.name, labels, totals=True)
            value = self._totals[key] if sample.kind == "count" else sample.value
            families[sample.name].add({**dict(sample.tags), **self._options.tags}, value)
        yield from (family.metric for family in families.values())
        if self._last:
            yield _sampled_at(self._options, self._last.values(), GROUP)


class Pushgateway:
    """Pushes of each check what its last run has found: one group a check, so that a part of a run takes no other's."""

    name = "prometheus"
    longest_past_s = 0.0

    def __init__(self, options: PrometheusOptions, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._options = options
        self._url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        login = urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")
        self._login = login if parts.username else None
        self._handler = partial(_with_password, login) if parts.username else default_handler

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """All groups at once."""
        groups: dict[tuple[str, ...], list[Sample]] = {}
        for sample in by_second(batch):
            tags = dict(sample.tags)
            groups.setdefault(tuple(tags[name] for name in GROUP), []).append(sample)
        pushes = [gevent.spawn(self._push, group, samples, timeout_s) for group, samples in groups.items()]
        try:
            gevent.joinall(pushes)
        finally:
            gevent.killall(pushes, block=False)
        said = [push.value for push in pushes if push.value is not None and push.value.fate is not Fate.DELIVERED]
        return said[0] if said else DELIVERED

    def _push(self, group: tuple[str, ...], samples: list[Sample], timeout_s: float) -> Said:
        registry = CollectorRegistry()
        registry.register(_Latest(self._options, samples))
        return _heard(
            lambda: push_to_gateway(
                self._url, self._options.job, registry, dict(zip(GROUP, group, strict=True)), timeout_s, self._handler
            )
        )

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Ask for all of its page, and take the sample's group away again: it was there for nothing else."""
        name, tags = known_as(sample.name, self._options), dict(sample.tags)
        group = {label: tags[label] for label in GROUP}
        try:
            page = requests.get(f"{self._url.rstrip('/')}/metrics", timeout=timeout_s, auth=self._login)
            delete_from_gateway(self._url, self._options.job, group, timeout_s, self._handler)
        except (OSError, requests.RequestException):
            return False
        return any(
            found.name == name and found.value == sample.value and group.items() <= found.labels.items()
            for family in text_string_to_metric_families(page.text)
            for found in family.samples
        )


class _Latest(Collector):
    """The last value of each series, as one push; the labels of its group stand in the push's URL."""

    def __init__(self, options: PrometheusOptions, samples: Iterable[Sample]) -> None:
        self._options = options
        self._last = {sample.name: sample for sample in samples}

    def collect(self) -> Iterator[Metric]:
        """All of it, as prometheus-client wants it."""
        labels = ("version", "mode", *self._options.tags)
        for sample in self._last.values():
            family = _Family(self._options, sample.name, labels, totals=False)
            family.add({**dict(sample.tags), **self._options.tags}, sample.value)
            yield family.metric
        yield _sampled_at(self._options, self._last.values(), ())


def _with_password(login: tuple[str, str], **request: Any) -> Callable[[], None]:
    return basic_auth_handler(**request, username=login[0], password=login[1])


def _heard(push: Callable[[], None]) -> Said:
    try:
        push()
    except urllib.error.HTTPError as error:
        with error:
            fate = Fate.REFUSED if error.code == 400 else Fate.LATER
            return Said(fate, f"HTTP {error.code}: the Pushgateway does not take it")
    except OSError as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        timed_out = isinstance(cause, TimeoutError)
        return Said(Fate.LATER, "it does not answer in time" if timed_out else "no connection, or it was cut off")
    except http.client.HTTPException:
        return Said(Fate.LATER, "its answer is no HTTP")
    return DELIVERED
