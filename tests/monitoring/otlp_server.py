"""A loopback receiver of OTLP over HTTP that reads what comes with OpenTelemetry's own schema, and nothing else."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA, Metric

from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

KEY = "inventedKey/0123456789"
UNITS = {"s", "ms", "d", "%", "1"}
Mode = Literal["up", "in part", "hang", "cut", "take and cut", 202, 204, 400, 401, 404, 413, 429, 500, 503]


@dataclass(frozen=True)
class Point:
    """One value as it came; `since` is 0 for a gauge."""

    name: str
    value: float
    unit: str
    tags: frozenset[tuple[str, str]]
    at: int
    since: int


class OtlpServer(Loopback):
    """Set `mode` to let it misbehave; `points` is what it has, `complaints` what was wrong with what it was sent."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.mode: Mode = "up"
        self.points: list[Point] = []
        self.resource: dict[str, str] = {}
        self.complaints: list[str] = []
        self.requests = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a process is given to send here."""
        headers = f"api-key={KEY.replace('/', '%2F')}, x-tenant=probes"
        return {
            "SMOKEPROBE_MONITORING": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_HEADERS": headers,
            "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=shop",
        }

    def values(self, name: str, **tags: str) -> list[float]:
        """The values of a metric's series with these tags, oldest first."""
        found = [point for point in self.points if point.name == name and point.tags >= set(tags.items())]
        return [point.value for point in sorted(found, key=lambda point: point.at)]

    def take(self, body: bytes) -> None:
        """Keep what is right, complain of the rest."""
        request = json_format.Parse(body, ExportMetricsServiceRequest())  # raises for a key that there is not
        for of_resource in request.resource_metrics:
            self.resource = _tags(of_resource.resource.attributes)
            for of_scope in of_resource.scope_metrics:
                if of_scope.scope.name != "smokeprobe" or not of_scope.scope.version:
                    self.complaints.append(f"scope: {of_scope.scope}")
                for metric in of_scope.metrics:
                    self._take_metric(metric)

    def _take_metric(self, metric: Metric) -> None:
        sums = metric.WhichOneof("data") == "sum"
        points = metric.sum.data_points if sums else metric.gauge.data_points
        seconds = [(point.time_unix_nano, str(point.attributes)) for point in points]
        now = time.time_ns()
        rules = {
            "unit": metric.unit in UNITS,
            "description": bool(metric.description),
            "points": bool(points) and len(set(seconds)) == len(seconds),
            "time": all(now - 3600 * 10**9 < point.time_unix_nano <= now for point in points),
            "value": all(point.HasField("as_double") and math.isfinite(point.as_double) for point in points),
            "span": all((0 < point.start_time_unix_nano < point.time_unix_nano) == sums for point in points),
            "tags": all(all(_tags(point.attributes).values()) for point in points),
            "temporality": not sums
            or (metric.sum.is_monotonic and metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA),
        }
        self.complaints += [f"{rule}: {metric}" for rule, holds in rules.items() if not holds]
        self.points += [
            Point(
                metric.name, point.as_double, metric.unit, frozenset(_tags(point.attributes).items()),
                point.time_unix_nano // 10**9, point.start_time_unix_nano // 10**9,
            )
            for point in points
        ]  # fmt: skip


def _tags(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {one.key: one.value.string_value for one in attributes}


class _Handler(LoopbackHandler):
    server: OtlpServer
    protocol_version = "HTTP/1.0"

    def post(self, body: bytes) -> None:
        self.server.requests += 1
        mode = self.server.mode
        if mode == "hang":
            self.server.closing.wait(30)
            return
        if mode in {"up", "in part", "take and cut"}:
            wanted = {"Content-Type": "application/json", "api-key": KEY, "x-tenant": "probes"}
            wrong = [name for name, value in wanted.items() if self.headers[name] != value]
            if self.path != "/v1/metrics" or wrong or "traceparent" in self.headers:
                self.server.complaints.append(f"{self.path}, {wrong}")
            self.server.take(body)
        if mode in {"cut", "take and cut"}:
            self.cut()
            return
        partly: dict[str, object] = {"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "too old"}}
        self._say(mode if isinstance(mode, int) else 200, partly if mode == "in part" else {})

    def _say(self, status: int, said: dict[str, object]) -> None:
        wait = {"Retry-After": "7"} if status in {429, 503} else {}
        self.answer(status, json.dumps(said).encode(), {"Content-Type": "application/json", **wait})


@contextmanager
def otlp_server(port: int = 0) -> Iterator[OtlpServer]:
    """A receiver in a thread, gone with the context."""
    with serving(OtlpServer(port)) as server:
        yield server
