"""Samples in the JSON form of OTLP: a gauge as a gauge, a count as a sum since the second before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from probes.config.metrics import METRICS, Unit
from probes.config.monitoring import ServiceOptions
from probes.monitoring.samples import Sample

DELTA = 1
"""Of a sum: since the last one."""

_UNITS: Mapping[Unit, str] = {"second": "s", "millisecond": "ms", "day": "d", "percent": "%"}


def export_of(
    scope: Mapping[str, str], resource: Mapping[str, str], metrics: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The whole of what one request says, by one scope of one resource."""
    of_scope = {"scope": scope, "metrics": list(metrics)}
    return {"resourceMetrics": [{"resource": {"attributes": attributes(resource)}, "scopeMetrics": [of_scope]}]}


class UnreadableError(Exception):
    """What was answered is none of OTLP's answers."""


def refused_of(answer: bytes) -> int:
    """How many values were refused, by an answer to what was taken. Raises UnreadableError."""
    try:
        return int(json.loads(answer or "{}").get("partialSuccess", {}).get("rejectedDataPoints", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):  # it may say anything
        raise UnreadableError from None


def metrics_of(samples: Iterable[Sample], options: ServiceOptions) -> dict[str, dict[str, Any]]:
    """An entry for each metric, by our own name of it, with a point for each of its samples."""
    points: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        points.setdefault(sample.name, []).append(_point(sample, options))
    return {name: _metric(name, of_it, options) for name, of_it in points.items()}


def _metric(name: str, points: list[Mapping[str, Any]], options: ServiceOptions) -> dict[str, Any]:
    counts = METRICS[name].kind == "count"
    form = {"aggregationTemporality": DELTA, "isMonotonic": True} if counts else {}
    return {
        "name": options.prefix + name,
        "unit": _UNITS.get(METRICS[name].unit, "1"),
        "sum" if counts else "gauge": {**form, "dataPoints": points},
    }


def _point(sample: Sample, options: ServiceOptions) -> Mapping[str, Any]:
    at = round(sample.at * 1000)
    point = {
        "timeUnixNano": _nano(at),
        "asDouble": sample.value,
        "attributes": attributes(tagged(sample, options)),
    }
    return {**point, "startTimeUnixNano": _nano(at - 1000)} if sample.kind == "count" else point


def _nano(milliseconds: int) -> str:
    """Numbers of 64 bits are texts in JSON."""
    return f"{milliseconds}000000"


def tagged(sample: Sample, options: ServiceOptions) -> dict[str, str]:
    """A sample's tags that have a value, and those that the file adds."""
    return {name: value for name, value in (*sample.tags, *options.tags.items()) if value}


def attributes(values: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """As OTLP writes a mapping of texts."""
    return [{"key": name, "value": {"stringValue": value}} for name, value in values.items()]
