"""A loopback server, over TLS, that takes what New Relic's collector, OTLP endpoint and NerdGraph are said to take.

The collector: protocol 17 of New Relic's agents, as their public source has it. It keeps agent runs, and takes data of
no other. As there, nothing that comes twice is known again.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import socket
import ssl
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import trustme

from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

KEY = "eu01xx0123456789abcdef0123456789abcdNRAL"
USER_KEY = "NRAK-0123456789ABCDEF0123456789A"
ACCOUNT = 12345
Mode = Literal["up", "hang", "drip", "cut", "take and cut", "nonsense"] | int

CONNECT = {
    "pid", "language", "host", "app_name", "agent_version", "environment", "settings", "identifier", "labels",
    "utilization", "metadata", "event_harvest_config", "high_security", "display_host", "security_settings",
}  # fmt: skip
UTILIZATION = {"metadata_version", "logical_processors", "total_ram_mib", "hostname"}
UNITS = {"1", "s", "ms", "d", "%"}
RESERVED = {"accountId", "appId", "eventType", "timestamp", "type"}
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.:]{0,254}")
_NRQL = re.compile(r"SELECT latest\(`(\S+)`\) AS value FROM (\w+) WHERE (.+) SINCE 10 minutes ago")
_DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    name: str
    tags: frozenset[tuple[str, str]]
    at_ms: int
    value: float
    unit: str
    is_sum: bool


class NewRelicServer(Loopback):
    """Set `mode` to let it misbehave, in all it does or only in what `troubled` names.

    `events` and `points` are what it has, `complaints` what was wrong with what it was sent.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(_Handler, port)
        authority = trustme.CA()
        self.authorities = folder / "newrelic-ca.pem"
        authority.cert_pem.write_to_path(str(self.authorities))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._tls)
        self.mode: Mode = "up"
        self.troubled: frozenset[str] = frozenset()
        self.settings: dict[str, Any] = {"collect_custom_events": True}
        self.runs: set[str] = set()
        self.events: list[dict[str, Any]] = []
        self.points: list[Point] = []
        self.connects: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.rejects = self.connections = 0
        self.delayed = 0
        self.held_s: list[float] = []
        self.told: dict[str, Any] = {}
        self.lock = Lock()

    @property
    def environment(self) -> dict[str, str]:
        """What a process is given to send here."""
        return {
            "SMOKEPROBE_MONITORING": "newrelic",
            "NEW_RELIC_LICENSE_KEY": KEY,
            "NEW_RELIC_HOST": "localhost",
            "NEW_RELIC_PORT": str(self.server_address[1]),
            "NEW_RELIC_CA_BUNDLE_PATH": str(self.authorities),
        }

    @property
    def asking(self) -> dict[str, str]:
        """What a process is given besides to ask."""
        return {
            "NEW_RELIC_API_KEY": USER_KEY,
            "NEW_RELIC_ACCOUNT_ID": str(ACCOUNT),
            "NEW_RELIC_NERDGRAPH_API_URL": f"https://localhost:{self.server_address[1]}/graphql",
        }

    def forget(self) -> None:
        """Be restarted: no agent run is known any more."""
        self.runs.clear()

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection; its handshake is left to its own thread."""
        connection, peer = super().get_request()
        self.connections += 1
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), peer

    def handle_error(self, *_: object) -> None:
        """Whoever goes away goes away."""

    def values(self, name: str, **tags: str) -> list[float]:
        """The values of a metric with these tags, oldest first."""
        found = [(p.at_ms, p.value) for p in self.points if p.name == name and tags.items() <= dict(p.tags).items()]
        return [value for _, value in sorted(found)]

    def attributes(self, name: str, **tags: str) -> list[float]:
        """The values of an attribute of events with these others, oldest first."""
        found = [(e["timestamp"], e[name]) for e in self.events if name in e and tags.items() <= e.items()]
        return [value for _, value in sorted(found)]

    def check(self, what: str, rules: dict[str, object]) -> bool:
        """Complain of each rule that does not hold; whether all do."""
        broken = [f"{what}: {rule}" for rule, holds in rules.items() if not holds]
        self.complaints += broken
        return not broken


def wrong_with(event: Any) -> list[str]:
    """Everything that the documentation of custom events forbids."""
    what, attributes, *rest = event
    rules = {
        "intrinsics": set(what) == {"type", "timestamp"},
        "type": re.fullmatch(r"[a-zA-Z0-9:_ ]{1,255}", what["type"]),
        "timestamp": isinstance(at := what.get("timestamp"), int) and abs(at - _now_ms()) < _DAY_MS,
        "attributes": 0 < len(attributes) <= 64,
        "reserved": not RESERVED & set(attributes),
        "names": all(_NAME.fullmatch(name) for name in attributes),
        "values": all(_value(value) for value in attributes.values()),
        "of the agent": rest in ([], [{}]),
    }
    return [f"{rule}: {str(event)[:200]}" for rule, holds in rules.items() if not holds]


def wrong_with_metric(metric: dict[str, Any]) -> list[str]:
    """Everything that OTLP's JSON form and New Relic forbid of a gauge or sum of differences."""
    kind, is_sum = ("sum", True) if "sum" in metric else ("gauge", False)
    body = metric.get(kind, {"dataPoints": []})
    keys = {"timeUnixNano", "asDouble", "attributes"} | ({"startTimeUnixNano"} if is_sum else set())
    rules = {
        "keys": set(metric) == {"name", "unit", kind},
        "name": _NAME.fullmatch(metric["name"]),
        "unit": metric["unit"] in UNITS,
        "form": set(body) == ({"dataPoints", "aggregationTemporality", "isMonotonic"} if is_sum else {"dataPoints"}),
        "difference": not is_sum or (body["aggregationTemporality"], body["isMonotonic"]) == (1, True),
        "points": bool(body["dataPoints"]) and all(_right(point, keys) for point in body["dataPoints"]),
    }
    return [f"{rule}: {str(metric)[:200]}" for rule, holds in rules.items() if not holds]


def _right(point: dict[str, Any], keys: set[str]) -> bool:
    pairs = [(pair["key"], pair["value"]) for pair in point["attributes"]]
    times = [point[name] for name in ("startTimeUnixNano", "timeUnixNano") if name in point]
    return (
        set(point) == keys
        and all(re.fullmatch(r"\d{19}", at) for at in times)
        and times == sorted(times)
        and -2 * _DAY_MS < int(times[-1]) // 10**6 - _now_ms() < _DAY_MS
        and math.isfinite(point["asDouble"])
        and len({name for name, _ in pairs}) == len(pairs) <= 150
        and all(_NAME.fullmatch(name) and set(v) == {"stringValue"} and _value(v["stringValue"]) for name, v in pairs)
    )


def _value(value: object) -> bool:
    return (isinstance(value, str) and 0 < len(value) <= 255) or (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )


def _now_ms() -> int:
    return int(time.time() * 1000)


Answer = tuple[int, Any]


class _Handler(LoopbackHandler):
    server: NewRelicServer
    disable_nagle_algorithm = True  # an answer goes in two parts

    def post(self, body: bytes) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        paths = {"/agent_listener/invoke_raw_method": query.get("method", "?"), "/v1/metrics": "metrics"}
        name = paths.get(parts.path, parts.path.strip("/"))
        with self.server.lock:
            self.server.asked.append(name)
        mode = self.server.mode if not self.server.troubled or name in self.server.troubled else "up"
        answer: Answer = (mode if isinstance(mode, int) else 200), {"error": {"message": "no"}}
        if mode in {"up", "take and cut"}:
            with self.server.lock:
                answer = self._answer_to(name, query, body)
        if mode == "up" or isinstance(mode, int):
            self._say(*answer)
        else:
            self._misbehave(mode)

    def _misbehave(self, mode: str) -> None:
        if mode == "hang":
            self._hang()
        elif mode == "nonsense":
            self._say(200, "<html>")
        elif mode == "drip":
            self.drip(200)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer_to(self, name: str, query: dict[str, str], body: bytes) -> Answer:
        known: dict[str, Callable[[dict[str, str], Any], Answer]] = {
            "preconnect": self._preconnect, "connect": self._connect, "agent_settings": self._agent_settings,
            "custom_event_data": self._custom_event_data,
        }  # fmt: skip
        packed = self.headers.get("Content-Encoding", "identity").lower()
        text = zlib.decompress(body, 47) if packed in {"gzip", "deflate"} else body
        self.server.check(name, {"encoding": packed in {"gzip", "deflate", "identity"}, "size": len(body) <= 10**6})
        self.server.check(name, {"content type": self.headers.get("Content-Type") == "application/json"})
        payload = json.loads(text)
        if name == "metrics":
            return self._metrics(payload)
        if name == "graphql":
            return self._graphql(payload)
        if name not in known:
            self.server.complaints.append(f"{self.path}: no such method")
            return 400, {}
        right = self.server.check(name, {
            "parameters": set(query) - {"run_id"} == {"method", "license_key", "protocol_version", "marshal_format"},
            "protocol": (query.get("protocol_version"), query.get("marshal_format")) == ("17", "json"),
            "agent": self.headers.get("User-Agent", "").startswith("NewRelic-PythonAgent/"),
            "a list": isinstance(payload, list),
        })  # fmt: skip
        if query.get("license_key") != KEY:
            return 401, {}
        return known[name](query, payload) if right else (400, {})

    def _preconnect(self, query: dict[str, str], payload: Any) -> Answer:
        self.server.check(
            "preconnect", {"payload": payload in ([], [{"high_security": False}]), "run": "run_id" not in query}
        )
        return 200, {"return_value": {"redirect_host": "localhost"}}

    def _connect(self, query: dict[str, str], payload: Any) -> Answer:
        told = payload[0]
        self.server.check("connect", {
            "keys": len(payload) == 1 and set(told) >= CONNECT,
            "language": told["language"] == "python",
            "app": told["app_name"] == ["smokeprobe"] and told["identifier"],
            "pid": isinstance(told["pid"], int),
            "utilization": set(told["utilization"]) >= UTILIZATION,
            "events": told["event_harvest_config"]["harvest_limits"]["custom_event_data"] > 0,
            "run": "run_id" not in query,
        })  # fmt: skip
        self.server.connects.append(told)
        run = f"run-{len(self.server.connects)}"
        self.server.runs.add(run)
        return 200, {"return_value": {
            "agent_run_id": run, "account_id": str(ACCOUNT), "request_headers_map": {"X-NR-Run-Token": run},
            "entity_guid": "GUID", "apdex_t": 0.5, "product_level": 50, "data_report_period": 60,
            "max_payload_size_in_bytes": 10**6, "messages": [{"message": "Reporting to: …", "level": "INFO"}],
            "event_harvest_config": {"report_period_ms": 5000, "harvest_limits": {"custom_event_data": 833}},
            **self.server.settings,
        }}  # fmt: skip

    def _of_run(self, query: dict[str, str]) -> bool:
        run = query.get("run_id", "")
        self.server.check("data", {"the run's header": self.headers.get("X-NR-Run-Token") == run})
        return run in self.server.runs

    def _agent_settings(self, query: dict[str, str], payload: Any) -> Answer:
        if not self._of_run(query):
            return 409, {}
        self.server.check("agent_settings", {"payload": isinstance(payload[0], dict) and KEY not in str(payload)})
        self.server.told = payload[0]
        return 200, {"return_value": None}

    def _custom_event_data(self, query: dict[str, str], payload: Any) -> Answer:
        if not self._of_run(query):
            return 409, {}
        run, told, events = payload
        self.server.check("custom_event_data", {
            "run": run == query["run_id"], "told": set(told) == {"reservoir_size", "events_seen"},
            "seen": told["events_seen"] == len(events) > 0,
        })  # fmt: skip
        for event in events:
            self.server.complaints += wrong_with(event)
            self.server.events.append({**event[0], **event[1]})
        return 202, None

    def _metrics(self, payload: Any) -> Answer:
        if self.headers.get("api-key") != KEY:
            return 403, {}
        (of_resource,) = payload["resourceMetrics"]
        names = {pair["key"] for pair in of_resource["resource"]["attributes"]}
        self.server.check(
            "metrics", {"resource": "service.name" in names, "scopes": len(of_resource["scopeMetrics"]) == 1}
        )
        metrics = of_resource["scopeMetrics"][0]["metrics"]
        self.server.check("metrics", {"once each": len({metric["name"] for metric in metrics}) == len(metrics) > 0})
        for metric in metrics:
            self.server.complaints += wrong_with_metric(metric)
            for point in metric.get("gauge", metric.get("sum"))["dataPoints"]:
                tags = frozenset((pair["key"], pair["value"]["stringValue"]) for pair in point["attributes"])
                at_ms = int(point["timeUnixNano"]) // 10**6
                value = float(point["asDouble"])
                self.server.points.append(Point(metric["name"], tags, at_ms, value, metric["unit"], "sum" in metric))
        rejects = self.server.rejects
        return 200, {"partialSuccess": {"rejectedDataPoints": str(rejects), "errorMessage": "no"}} if rejects else {}

    def _graphql(self, payload: Any) -> Answer:
        if self.headers.get("API-Key") != USER_KEY or payload["variables"]["account"] != ACCOUNT:
            return 401, {"errors": [{"message": "no"}]}
        asked = _NRQL.fullmatch(payload["variables"]["nrql"])
        if asked is None or "$nrql: Nrql!" not in payload["query"]:
            self.server.complaints.append(f"graphql: {payload}")
            return 200, {"data": None, "errors": [{"message": "no"}]}
        name, table, where = asked.groups()
        tags = dict(re.findall(r"`(\w+)` = '([^']*)'", where))
        found = self.server.values(name, **tags) if table == "Metric" else self.server.attributes(name, **tags)
        self.server.delayed -= 1
        latest = found[-1] if found and self.server.delayed < 0 else None
        return 200, {"data": {"actor": {"account": {"nrql": {"results": [{"value": latest}]}}}}}

    def _say(self, status: int, said: Any) -> None:
        text = b"" if said is None else said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.answer(status, text, {"Content-Type": "application/json"})

    def _hang(self) -> None:
        """Say nothing until whoever asks goes away."""
        begun = time.monotonic()
        self.connection.settimeout(30)
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.server.held_s.append(time.monotonic() - begun)


@contextmanager
def newrelic_server(folder: Path, port: int = 0) -> Iterator[NewRelicServer]:
    """A server in a thread, gone with the context; `folder` is where its authority lies."""
    with serving(NewRelicServer(folder, port)) as server:
        yield server
