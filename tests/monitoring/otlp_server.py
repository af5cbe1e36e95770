"""A loopback receiver of OTLP over HTTP that reads what comes with OpenTelemetry's own schema, and nothing else."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Literal

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA, Metric

KEY = "inventedKey/0123456789"
UNITS = {"s", "ms", "d", "%", "1"}
Mode = Literal["up", "in part", "hang", "cut", "take and cut", 400, 401, 404, 413, 429, 500, 503]


@dataclass(frozen=True)
class Point:
    """One value as it came; `since` is 0 for a gauge."""

    name: str
    value: float
    unit: str
    tags: frozenset[tuple[str, str]]
    at: int
    since: int


class OtlpServer(ThreadingHTTPServer):
    """Set `mode` to let it misbehave; `points` is what it has, `complaints` what was wrong with what it was sent."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.mode: Mode = "up"
        self.points: list[Point] = []
        self.resource: dict[str, str] = {}
        self.complaints: list[str] = []
        self.requests = 0
        self.closing = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

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


class _Handler(BaseHTTPRequestHandler):
    server: OtlpServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
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
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        partly: dict[str, object] = {"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "too old"}}
        self._answer(mode if isinstance(mode, int) else 200, partly if mode == "in part" else {})

    def _answer(self, status: int, said: dict[str, object]) -> None:
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if status in {429, 503}:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def otlp_server(port: int = 0) -> Iterator[OtlpServer]:
    """A receiver in a thread, gone with the context."""
    with OtlpServer(port) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
